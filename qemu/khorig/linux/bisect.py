# SPDX-License-Identifier: BSD-3-Clause
"""Drives `git bisect run`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable, Iterator, Sequence

import khorig
from khorig.linux.bisect_judgement import Outcome
from khorig.linux.bisect_plan import BisectPlan
from khorig.linux.bisect_record import StepRecord, read_records
from khorig.linux.bisect_repository import (
    Repository,
    check_range,
    git_environment,
    git_words,
)
from khorig.linux.bisect_worktree import Worktree
from khorig.run.artifacts import write_whole
from khorig.vm.errors import InfraError
from khorig.vm.private_apt import Report

LOG = "bisect.log"  # of git, for `git bisect replay`
_OUTPUT = "git.log"  # what git prints
_END_S = 30.0  # for a step to wind down
_FOUND = re.compile(r"^# first bad commit: \[([0-9a-f]+)\]", re.MULTILINE)
_POSSIBLE = re.compile(r"^# possible first bad commit: \[([0-9a-f]+)\]", re.MULTILINE)


@dataclass(frozen=True)
class BisectResult:
    """What was found. Without `first_bad` there is a reason."""

    first_bad: StepRecord | None
    last_good: StepRecord | None = None  # parent of the first bad commit, where it was tested
    reason: str = ""
    candidates: tuple[str, ...] = ()  # commits that skipped ones leave
    bad_end: StepRecord | None = None
    tested: int = 0  # commits


class Bisection:
    """The ends first, then what git asks for, in a work tree of its own."""

    def __init__(self, plan: BisectPlan, folder: Path, step: Sequence[str], report: Report) -> None:
        """`step` is a command that tests what is checked out in its working directory. It gets two
        more words: `folder`, in which it records what it finds (khorig.linux.bisect_record), and
        the descriptor to which its progress lines go. Raises NotBisectable."""
        self._plan = plan
        self._folder = folder.resolve()
        self._step = (*step, str(self._folder))
        self._report = report
        self._repository = Repository(Path(plan.source))
        check_range(self._repository, plan.good, plan.bad)

    def run(self, show: Callable[[BisectResult], None]) -> BisectResult:
        """`show` gets the result before the work tree is removed, which may take minutes. Raises
        InfraError if an end cannot be tested or git fails, Interrupted."""
        plan, repository = self._plan, self._repository
        commits = repository.count(plan.good, plan.bad)
        noun = "commit" if commits == 1 else "commits"
        self._report(f"{commits} {noun} after {repository.describe(plan.good)}")
        if repository.is_dirty():
            self._report(f"{repository.folder}: changes that are not committed are not tested")
        with Worktree(repository, plan.bad, self._report) as worktree:
            result = self._find(worktree)
            show(result)
        return result

    def _find(self, worktree: Worktree) -> BisectResult:
        bad = self._end(worktree, "bad", self._plan.bad)
        if bad.outcome is not Outcome.BAD:
            return BisectResult(None, reason=self._wrong_end("bad", bad), bad_end=bad)
        good = self._end(worktree, "good", self._plan.good)
        if good.outcome is not Outcome.GOOD:
            return BisectResult(None, reason=self._wrong_end("good", good), bad_end=bad)
        try:
            return self._bisect(worktree, bad)
        finally:
            self._keep_log(worktree)

    def _end(self, worktree: Worktree, name: str, commit: str) -> StepRecord:
        """Raises InfraError unless the end is good or bad."""
        self._report(f"{name} end: {self._repository.describe(commit)}")
        Repository(worktree.path).git("checkout", "--quiet", "--detach", commit)
        self._call(worktree, self._step)
        record = read_records(self._folder).get(commit)
        if record is None:
            raise InfraError(f"the {name} end was not tested, see {self._folder / _OUTPUT}")
        if record.outcome is Outcome.SKIPPED:
            raise InfraError(f"the {name} end cannot be tested: {record.why}", record.lines)
        return record

    def _wrong_end(self, name: str, record: StepRecord) -> str:
        commit = self._repository.describe(record.commit)
        hint = "; --repeat N if that is a matter of luck" if name == "bad" else ""
        return f"--{name} {commit} is {record.outcome.word}: {record.why}{hint}"

    def _bisect(self, worktree: Worktree, bad: StepRecord) -> BisectResult:
        git = Repository(worktree.path)
        git.git("bisect", "start", self._plan.bad, self._plan.good)
        # Of a range with one commit git knows the end before it runs anything.
        if not _FOUND.search(git.git("bisect", "log")):
            self._call(worktree, git_words(worktree.path, "bisect", "run", *self._step))
        log = git.git("bisect", "log")
        records = read_records(self._folder)
        if found := _FOUND.search(log):
            first = records.get(found[1])
            if first is None or first.outcome is not Outcome.BAD:
                raise InfraError(f"git found {found[1]}, which was not tested as bad")
            parents = git.git("log", "-1", "--format=%P", found[1]).split()
            tested = [records[parent] for parent in parents if parent in records]
            good = [record for record in tested if record.outcome is Outcome.GOOD]
            last = good[0] if good else None
            self._remove_peers(records, first, last)
            return BisectResult(first, last, bad_end=bad, tested=len(records))
        candidates = tuple(_POSSIBLE.findall(log))
        if not candidates:
            raise InfraError(f"git bisect ended early, see {self._folder / _OUTPUT}")
        reason = f"skipped commits leave {len(candidates)} that may be the first bad one"
        return BisectResult(None, None, reason, candidates, bad, len(records))

    def _remove_peers(self, records: dict[str, StepRecord], *kept: StepRecord | None) -> None:
        """Those of the steps. The bad one and its parent stay, for whoever looks for the cause."""
        folders = {record.peer_folder for record in kept if record is not None}
        for record in records.values():
            if record.peer_folder and record.peer_folder not in folders:
                shutil.rmtree(record.peer_folder, ignore_errors=True)

    def _keep_log(self, worktree: Worktree) -> None:
        with contextlib.suppress(InfraError):
            log = Repository(worktree.path).git("bisect", "log")
            write_whole(self._folder / LOG, log + "\n")

    def _call(self, worktree: Worktree, words: Sequence[str]) -> None:
        """Runs a command, whose steps report to us, to its end and to theirs."""
        reader, writer = os.pipe()
        with (
            open(reader, encoding="utf-8", errors="replace") as lines,
            (self._folder / _OUTPUT).open("ab") as output,
        ):
            try:
                process = subprocess.Popen(
                    [*words, str(writer)],
                    cwd=worktree.path,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(writer, worktree.lock),
                    process_group=0,
                )
            finally:
                os.close(writer)
            with _ended(process, lines):
                for line in lines:
                    self._report("  " + line.rstrip("\n"))
                process.wait()


def _environment() -> dict[str, str]:
    """In which a step finds from any folder what we find from ours."""
    environment = git_environment()
    for name in ("KHORIG_BUILD", "XDG_CACHE_HOME"):
        if environment.get(name):
            environment[name] = os.path.abspath(environment[name])
    known = environment.get("PYTHONPATH", "").split(os.pathsep)
    package = os.path.dirname(os.path.dirname(os.path.abspath(khorig.__file__)))
    path = os.pathsep.join((package, *(os.path.abspath(name) for name in known if name)))
    return {**environment, "PYTHONPATH": path}


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes], lines: IO[str]) -> Iterator[None]:
    """When the body raises, ends all that was started: git's steps have `lines` open."""
    try:
        yield
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        deadline_s = time.monotonic() + _END_S
        os.set_blocking(lines.fileno(), False)
        while time.monotonic() < deadline_s:
            try:
                if not os.read(lines.fileno(), 1 << 16):
                    break
            except BlockingIOError:
                time.sleep(0.05)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
