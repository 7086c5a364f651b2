# SPDX-License-Identifier: BSD-3-Clause
"""One step of `khorig bisect`, as `git bisect run` starts it:

    python3 -m khorig.cli.bisect_step FOLDER DESCRIPTOR

Exit status: 0 good, 1 bad, 125 skipped; 128 and more end the bisection.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from pathlib import Path
from typing import IO, Callable, NoReturn

from khorig.cli.failure import failure_of
from khorig.cli.signals import interruptible
from khorig.guest.chain_run import ChainRun
from khorig.linux.bisect_judgement import Outcome
from khorig.linux.bisect_plan import BisectPlan, read_plan
from khorig.linux.bisect_record import append_record, read_records
from khorig.linux.bisect_repository import Repository
from khorig.linux.bisect_step import Step
from khorig.linux.peer import Peer
from khorig.run.result import RunResult
from khorig.vm.errors import Interrupted
from khorig.vm.private_apt import Report

_GIVE_UP = 128  # the lowest status that ends `git bisect run`
_TROUBLE = 255

# Makes the step of a plan: the plan, its folder, and where progress goes.
Make = Callable[[BisectPlan, Path, Report], Step]


def take_step(folder: Path, report: Report, make: Make) -> Outcome:
    """Tests what is checked out in the working directory and records it. A commit that an earlier
    bisection of this folder found good or bad is not tested again. Raises InfraError, OSError,
    Interrupted."""
    plan = read_plan(folder)
    git = Repository(Path.cwd())
    commit = git.git("rev-parse", "HEAD")
    if position := _position(git):
        report(f"step {position}: {git.describe(commit)}")
    record = read_records(folder).get(commit)
    if record is None or record.outcome is Outcome.SKIPPED:
        record = make(plan, folder, report).test(commit, git.subject(commit))
        append_record(folder, record)
        times = f"  (build {record.build_s:.0f} s, chain {record.run_s:.0f} s)"
    else:
        times = "  (tested before)"
    report(f"{record.outcome.word}: {record.why}{times}")
    return record.outcome


def _position(git: Repository) -> str:
    """ "2 of about 4"; "" when no bisection runs, as at its ends."""
    path = Path(git.git("rev-parse", "--git-path", "BISECT_LOG"))
    if not path.is_file():
        return ""
    words = ("git bisect good ", "git bisect bad ", "git bisect skip ")
    done = sum(line.startswith(words) for line in path.read_text(errors="replace").splitlines())
    bounds = dict(
        line.split("=", 1) for line in git.git("rev-list", "--bisect", "--bisect-vars").splitlines()
    )
    return f"{done + 1} of about {done + 1 + int(bounds['bisect_steps'])}"


def make_step(plan: BisectPlan, folder: Path, report: Report) -> Step:
    """A step that builds and runs."""
    from khorig.out.text import result_lines

    return Step(
        plan,
        folder,
        functools.partial(_build, plan, report),
        functools.partial(_run, plan.keep),
        result_lines,
        report,
    )


def _build(plan: BisectPlan, report: Report, commit: str) -> Peer:
    from khorig.linux.build import Builder, only_builder
    from khorig.linux.commit_source import CommitSource

    with only_builder(report):
        return Builder(CommitSource(Path.cwd(), commit), plan.spec.arch, plan.jobs, report).build()


def _run(keep: bool, spec: ChainRun, out: Path) -> RunResult:
    from khorig.linux.chain_kind import chain_kind
    from khorig.out.session_documents import SessionDocuments
    from khorig.run.session import Session
    from khorig.vm.cancellation import Cancellation

    cancellation = Cancellation()
    with interruptible():  # puts the handlers back
        cancellation.install()
        session = Session(
            out, chain_kind(), SessionDocuments(), cancellation, keep=keep, record=False
        )
        [result] = session.run_all([spec])
    if cancellation.signal_number is not None:
        raise Interrupted(cancellation.signal_number)
    return result


def main(words: list[str], make: Make = make_step) -> int:
    """The exit status. Nothing but a commit's failure may end with 1, which Python does whenever
    it fails itself."""
    try:
        folder, descriptor = Path(words[0]), int(words[1])
        with open(descriptor, "w", encoding="utf-8", errors="replace") as progress, interruptible():
            return take_step(folder, functools.partial(_say, progress), make).value
    except BaseException as error:  # pylint: disable=broad-except
        failure = failure_of(error, ["bisect"])
        print(f"khorig: {failure.message}", *failure.details, sep="\n  ", file=sys.stderr)
        return failure.status if failure.status >= _GIVE_UP else _TROUBLE


def _say(progress: IO[str], line: str) -> None:
    progress.write(line + "\n")
    progress.flush()


def end(status: int) -> NoReturn:
    """Ends the process. At its regular end Python replaces the status when stdout takes no more, by
    one that stands for a bad commit."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    end(main(sys.argv[1:]))
