# SPDX-License-Identifier: BSD-3-Clause
"""What a selftest of Linux's and the rig say of the same run."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Iterator, Sequence

from khorig.guest.chain_run import ChainRun
from khorig.guest.program_end import ProgramEnd
from khorig.mem.untrusted import printable
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol.definitions import GUEST, LINUX_REPORTS
from khorig.run.result import RunResult

FOLDER = "selftests"  # of a peer
KHO = "kho"  # the one without a program: the kernel's module test_kho says it
STAGE = "-s"  # behind a program that has two

# What kho/vmtest.sh and liveupdate/vmtest.sh of 7.2 and 7.3 grep for on the console, and the last
# line of kselftest_harness.h.
_KHO_LINE = re.compile("KHO restore succeeded")
_STAGED_LINE = re.compile("TEST PASSED")
_ONCE_LINE = re.compile("^# Totals: ")
_SKIPPED = 4  # KSFT_SKIP
_LARGEST = 64 << 20  # bytes of a console
_TIME = re.compile(r"^\[ *\d+\.\d+\] ")


class Theirs(enum.Enum):
    """What their test says."""

    PASS = "PASS"
    FAIL = "FAIL"
    SKIP = "SKIP"
    NOT_RUN = "-"  # the run ended before it


@dataclass(frozen=True)
class SelftestOutcome:
    """One run with both verdicts."""

    name: str  # "kho", "luo_kexec_simple"
    theirs: Theirs
    line: str  # on the console: what their scripts grep for, or why it is not there
    ours: Verdict  # of the rig on the handover, whatever the program says
    finding: Finding | None  # why ours is not PASS
    pages: int  # compared, across the jump with the fewest
    rerun: str = ""
    run: str = ""  # its id

    @property
    def is_good(self) -> bool:
        """Whether both say so; a skipped test says nothing."""
        return self.theirs in (Theirs.PASS, Theirs.SKIP) and self.ours is Verdict.PASS

    @property
    def disagree(self) -> bool:
        """Whether one is content with a handover and the other is not."""
        if self.theirs in (Theirs.SKIP, Theirs.NOT_RUN):
            return False
        if self.ours in (Verdict.SKIP, Verdict.INFRA):
            return False
        return (self.theirs is Theirs.PASS) is not (self.ours is Verdict.PASS)

    def json(self) -> dict[str, Any]:
        """For a document."""
        names = ("name", "line", "pages", "disagree", "run")
        return {
            "theirs": self.theirs.value,
            "ours": self.ours.value,
            **{name: getattr(self, name) for name in names},
            "finding": self.finding.what if self.finding else "",
        }

    def heard(self, again: RunResult) -> SelftestOutcome:
        """The same with their verdict from a run that the rig did not end."""
        theirs, line = _theirs(self.name, again, Verdict.PASS)
        return replace(self, theirs=theirs, line=printable(line))


def selftests_in(results: Sequence[RunResult]) -> tuple[SelftestOutcome, ...]:
    """One for each run; none unless all runs are selftests."""
    names = [_name_of(result.spec) for result in results]
    if None in names or not any(name != KHO for name in names):
        return ()
    return tuple(outcome_of(result) for result in results)


def outcome_of(result: RunResult) -> SelftestOutcome:
    """Of a run with the programs of one selftest, or with none for `kho`."""
    name = _name_of(result.spec) or ""
    finding = next((f for f in result.findings if not _is_of_a_program(f)), None)
    ours = finding.verdict if finding else Verdict.PASS
    pages = min((jump.pages for jump in result.statistics.jumps), default=0)
    jumps = sum(jump.jumps for jump in result.statistics.jumps)
    if ours is Verdict.PASS and (jumps < result.spec.generations - 1 or not pages):
        what = f"pages were compared across {jumps} of {result.spec.generations - 1} jumps"
        ours, finding = Verdict.FAIL, Finding("", what)
    theirs, line = _theirs(name, result, ours)
    return SelftestOutcome(
        name, theirs, printable(line), ours, finding, pages, result.rerun, result.id
    )


def _name_of(spec: Any) -> str | None:
    if not isinstance(spec, ChainRun):
        return None
    every = range(1, spec.generations + 1)
    try:
        programs = [words for number in every for words in spec.programs_of(number)]
    except ValueError:
        return None
    if not programs:
        return KHO
    paths = {Path(words[0]) for words in programs}
    if len(paths) != 1 or (path := paths.pop()).parent.name != FOLDER:
        return None
    return path.name


def _is_of_a_program(finding: Finding) -> bool:
    return finding.rule in (GUEST, LINUX_REPORTS) and finding.what.startswith("program: ")


def _theirs(name: str, result: RunResult, ours: Verdict) -> tuple[Theirs, str]:
    if result.verdict in (Verdict.SKIP, Verdict.INFRA):
        return Theirs.NOT_RUN, result.cause
    theirs, line = _by_their_rules(name, result)
    if theirs is Theirs.FAIL and ours is Verdict.FAIL and not _failed(result):
        return Theirs.NOT_RUN, f"the rig ended the run: {line}"
    return theirs, line


def _failed(result: RunResult) -> ProgramEnd | None:
    return next((program for program in result.programs if not program.is_ok), None)


def _by_their_rules(name: str, result: RunResult) -> tuple[Theirs, str]:
    lines = list(_console(result))
    if name == KHO:
        return _by_line(_KHO_LINE, lines, "no line of test_kho about a restore on the console")
    if (failed := _failed(result)) is not None:
        skipped = failed.status == _SKIPPED and not (failed.error or failed.signal)
        first = next((line for line in lines if line.startswith("not ok ")), "")
        return Theirs.SKIP if skipped else Theirs.FAIL, _words(failed, "" if skipped else first)
    every = range(1, result.spec.generations + 1)
    expected = sum(len(result.spec.programs_of(number)) for number in every)
    if len(result.programs) < expected:
        return Theirs.FAIL, f"{len(result.programs)} of {expected} stages came to their end"
    is_staged = any(STAGE in p for number in every for p in result.spec.programs_of(number))
    wanted = _STAGED_LINE if is_staged else _ONCE_LINE
    return _by_line(wanted, lines, f"no line with '{wanted.pattern}' on the console")


def _by_line(wanted: re.Pattern[str], lines: Sequence[str], missing: str) -> tuple[Theirs, str]:
    found = next((line for line in lines if wanted.search(line)), None)
    return (Theirs.FAIL, missing) if found is None else (Theirs.PASS, found)


def _words(program: ProgramEnd, first: str) -> str:
    """A selftest that fails says why in its last words; `first` is the first case that failed."""
    last = program.output[-1].strip() if program.output else "no output"
    words = "; ".join(dict.fromkeys(text for text in (first, last) if text))
    return f"generation {program.generation}: {program.how}: {words}"


def _console(result: RunResult) -> Iterator[str]:
    """The lines without their time."""
    if not result.directory:
        return
    try:
        with (Path(result.directory) / "console.log").open("rb") as file:
            text = file.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return
    for line in text.splitlines():
        if not line.startswith("@khorig "):
            yield _TIME.sub("", line).strip()
