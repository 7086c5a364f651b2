# SPDX-License-Identifier: BSD-3-Clause
"""Plants the bugs of tests/mutants/*.toml, each in a scratch copy of the tree, and runs the tests
that should notice.

Exit status: 0 when enough are noticed and every survivor has a reason in the list; 1 when not, when
an entry does not fit the tree or does not compile, or when the tests fail without a bug; 2 for
wrong usage; 3 when tests cannot be run here; 4 when no mutant matches.
"""

from __future__ import annotations

import argparse
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import FrameType

from mutant_list import ListError, Mutant, faults, file_of, read_lists
from scratch_tree import BOOTING, Answer, CannotRun, Outcome, ScratchTree

# Of the mutants, noticed.
HOST_GOAL = 0.97
KERNEL_GOAL = 0.95
FAILED, INFRA, NOTHING_RAN = 1, 3, 4

Say = Callable[[str], None]


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    answer: Answer
    seconds: float

    @property
    def noticed(self) -> bool:
        """Whether a test fails with it."""
        return self.answer.outcome in (Outcome.FAILED, Outcome.TIMED_OUT)

    @property
    def is_valid(self) -> bool:
        """Whether it can be built; a compiler that refuses it is no test."""
        return self.answer.outcome is not Outcome.NOT_BUILT

    @property
    def word(self) -> str:
        """The verdict."""
        return ("noticed" if self.noticed else "SURVIVED") if self.is_valid else "INVALID"


class Trees:
    """As many scratch trees as there are jobs, each used by one at a time."""

    def __init__(self, root: Path, folder: Path, jobs: int) -> None:
        self.all = [ScratchTree(root, folder / f"tree{number}") for number in range(jobs)]
        self._free: queue.SimpleQueue[ScratchTree] = queue.SimpleQueue()
        for tree in self.all:
            self._free.put(tree)

    def test(self, mutant: Mutant) -> Verdict:
        """Runs a mutant's tests with its bug."""
        tree = self._free.get()
        begin = time.monotonic()
        try:
            with tree.planted(mutant):
                answer = tree.run(mutant.tests, boots(mutant))
        finally:
            self._free.put(tree)
        return Verdict(mutant, answer, time.monotonic() - begin)

    def test_clean(self, test: str, kernels: bool) -> Answer:
        """Runs a pytest file without a bug."""
        tree = self._free.get()
        try:
            return tree.run([test], kernels)
        finally:
            self._free.put(tree)

    def close(self) -> None:
        """Ends what runs and what stays behind between runs."""
        for tree in self.all:
            tree.close()


def boots(mutant: Mutant) -> bool:
    """Whether its pytest files boot what is built with the bug."""
    return not mutant.file.endswith(".py") or any(test.startswith(BOOTING) for test in mutant.tests)


def select(mutants: Sequence[Mutant], filters: Sequence[str], survivors: bool) -> list[Mutant]:
    """Those with one of the filters in their name or the path of their file."""
    return [
        mutant
        for mutant in mutants
        if not filters or any(word in mutant.name or word in mutant.file for word in filters)
        if not survivors or mutant.survives
    ]


def check_clean(
    trees: Trees, pool: ThreadPoolExecutor, mutants: Sequence[Mutant], say: Say
) -> bool:
    """Whether the tests pass without a bug. If not, they would notice everything."""
    named = {test: False for mutant in mutants for test in mutant.tests}
    for mutant in mutants:
        named.update((test, True) for test in mutant.tests if boots(mutant))
    targets = sorted(test for test in named if test.startswith("//"))
    files = sorted(
        test
        for test in named
        if test not in targets and (test == file_of(test) or file_of(test) not in named)
    )
    say(f"the tests without a bug: {len(files) + len(targets)} files and targets")
    # In one tree first, where others then find in the cache what it has built.
    failed = trees.all[0].failures(targets) if targets else []
    answers = pool.map(lambda test: trees.test_clean(test, named[test]), files)
    failed += [answer for answer in answers if answer.outcome is not Outcome.PASSED]
    for answer in failed:
        say(f"fails without a bug: {answer.words}")
        say(answer.tail)
    return not failed


def run_all(
    trees: Trees, pool: ThreadPoolExecutor, mutants: Sequence[Mutant], say: Say
) -> list[Verdict]:
    """Tests every mutant and prints a line for each as it ends."""
    lock = threading.Lock()
    verdicts: list[Verdict] = []

    def test(mutant: Mutant) -> None:
        verdict = trees.test(mutant)
        with lock:
            verdicts.append(verdict)
            by = f"  by {verdict.answer.words}" if verdict.answer.words else ""
            number = f"{len(verdicts):{len(str(len(mutants)))}}/{len(mutants)}"
            say(f"{number}  {verdict.word:8}  {mutant.name}  {verdict.seconds:.1f} s{by}")

    list(pool.map(test, mutants))
    return verdicts


def report(verdicts: Sequence[Verdict], say: Say) -> int:
    """Prints survivors, lists and scores; returns the exit status."""
    verdicts = sorted(verdicts, key=lambda verdict: verdict.mutant.name)
    invalid = [verdict for verdict in verdicts if not verdict.is_valid]
    valid = [verdict for verdict in verdicts if verdict.is_valid]
    for verdict in invalid:
        say(f"invalid {verdict.mutant.name} ({verdict.mutant.file}): {verdict.answer.words}")
    survivors = [verdict.mutant for verdict in valid if not verdict.noticed]
    for mutant in survivors:
        say(f"survived {mutant.name} ({mutant.file}): {mutant.bug}")
        say(f"    {mutant.survives or 'no reason in the list'}")
    for verdict in valid:
        if verdict.noticed and verdict.mutant.survives:
            say(f"noticed {verdict.mutant.name}, which the list expects to survive")
    _report_lists(valid, say)
    reached = [
        _report_goal([verdict for verdict in valid if _is_host(verdict) is host], goal, say)
        for host, goal in ((True, HOST_GOAL), (False, KERNEL_GOAL))
    ]
    unexplained = any(not mutant.survives for mutant in survivors)
    return FAILED if invalid or unexplained or not all(reached) else 0


def _is_host(verdict: Verdict) -> bool:
    return verdict.mutant.room.startswith("host-")


def _report_lists(verdicts: Sequence[Verdict], say: Say) -> None:
    for room, group in groupby(verdicts, key=lambda verdict: verdict.mutant.room):
        of_room = list(group)
        noticed = sum(verdict.noticed for verdict in of_room)
        seconds = sum(verdict.seconds for verdict in of_room) / len(of_room)
        say(f"{room:20}  {noticed:3} of {len(of_room):3} noticed, {seconds:.1f} s each")


def _report_goal(verdicts: Sequence[Verdict], goal: float, say: Say) -> bool:
    """Prints the score of one half of the tree, if it was tested; returns whether it is enough."""
    if not verdicts:
        return True
    noticed = sum(verdict.noticed for verdict in verdicts)
    share = noticed / len(verdicts)
    half = "host" if _is_host(verdicts[0]) else "kernel"
    say(
        f"{half}: noticed {noticed} of {len(verdicts)} mutants, {share:.1%}; the goal is {goal:.0%}"
    )
    return share >= goal


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="khorig mutants",
        description="Plants bugs in copies of the tree and runs the tests that should notice.",
        epilog="The bugs are listed in tests/mutants/*.toml. Exit status 1: too few were noticed.",
    )
    parser.add_argument("filters", nargs="*", metavar="FILTER", help="part of a name or a file")
    parser.add_argument("--of", metavar="LIST", help="only those of tests/mutants/LIST.toml")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="side by side (2)")
    parser.add_argument("--survivors", action="store_true", help="only those listed to survive")
    parser.add_argument("--list", action="store_true", help="print them and run nothing")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs is at least 1")
    root = root or Path(__file__).absolute().parents[1]

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        everything = read_lists(root)
    except ListError as error:
        say(f"mutants: {error}")
        return FAILED
    mutants = [
        mutant
        for mutant in select(everything, options.filters, options.survivors)
        if options.of in (None, mutant.room)
    ]
    if not mutants:
        say("mutants: none matches")
        return NOTHING_RAN
    broken = list(faults(mutants, root))
    for fault in broken:
        say(f"mutants: {fault}")
    if broken:
        return FAILED
    if options.list:
        for mutant in mutants:
            say(f"{mutant.name}  {mutant.file}: {mutant.bug}")
        return 0
    return _run(root, mutants, min(options.jobs, len(mutants)), say)


def _run(root: Path, mutants: Sequence[Mutant], jobs: int, say: Say) -> int:
    with tempfile.TemporaryDirectory(prefix="khorig-mutants.") as folder:
        trees = Trees(root, Path(folder), jobs)
        pool = ThreadPoolExecutor(jobs)
        try:
            if not check_clean(trees, pool, mutants, say):
                return FAILED
            return report(run_all(trees, pool, mutants, say), say)
        except CannotRun as error:
            say(f"mutants: {error}")
            return INFRA
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            trees.close()


def _terminate(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminate)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
