# SPDX-License-Identifier: BSD-3-Clause
"""Plants the bugs of tests/mutants/*.toml, each in a scratch copy of the tree, and runs the tests
that should notice.

Exit status: 0 when enough are noticed and every survivor has a reason in the list; 1 when not, when
an entry does not fit the tree, or when the tests fail without a bug; 2 for wrong usage; 3 when
tests cannot be run here; 4 when no mutant matches.
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
from pathlib import Path
from types import FrameType

from mutant_list import ListError, Mutant, faults, file_of, read_lists
from scratch_tree import Answer, CannotRun, Outcome, ScratchTree

GOAL = 0.97  # of the mutants, noticed
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
        return self.answer.outcome is not Outcome.PASSED


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
                answer = tree.run(mutant.tests)
        finally:
            self._free.put(tree)
        return Verdict(mutant, answer, time.monotonic() - begin)

    def test_clean(self, tests: Sequence[str]) -> Answer:
        """Runs tests without a bug."""
        tree = self._free.get()
        try:
            return tree.run(tests)
        finally:
            self._free.put(tree)

    def close(self) -> None:
        """Ends what runs and what stays behind between runs."""
        for tree in self.all:
            tree.close()


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
    named = {test for mutant in mutants for test in mutant.tests}
    groups = sorted(test for test in named if test == file_of(test) or file_of(test) not in named)
    say(f"the tests without a bug: {len(groups)} files and targets")
    green = True
    for test, answer in zip(groups, pool.map(lambda test: trees.test_clean([test]), groups)):
        if answer.outcome is not Outcome.PASSED:
            say(f"{test} fails without a bug: {answer.words}")
            say(answer.tail)
            green = False
    return green


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
            word = "noticed " if verdict.noticed else "SURVIVED"
            by = f"  by {verdict.answer.words}" if verdict.noticed else ""
            number = f"{len(verdicts):{len(str(len(mutants)))}}/{len(mutants)}"
            say(f"{number}  {word}  {mutant.name}  {verdict.seconds:.1f} s{by}")

    list(pool.map(test, mutants))
    return verdicts


def report(verdicts: Sequence[Verdict], say: Say) -> int:
    """Prints survivors and score; returns the exit status."""
    survivors = sorted(
        (verdict.mutant for verdict in verdicts if not verdict.noticed), key=lambda m: m.name
    )
    for mutant in survivors:
        say(f"survived {mutant.name} ({mutant.file}): {mutant.bug}")
        say(f"    {mutant.survives or 'no reason in the list'}")
    for verdict in verdicts:
        if verdict.noticed and verdict.mutant.survives:
            say(f"noticed {verdict.mutant.name}, which the list expects to survive")
    noticed = len(verdicts) - len(survivors)
    share = noticed / len(verdicts)
    say(f"noticed {noticed} of {len(verdicts)} mutants, {share:.1%}; the goal is {GOAL:.0%}")
    unexplained = any(not mutant.survives for mutant in survivors)
    return FAILED if share < GOAL or unexplained else 0


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="khorig mutants",
        description="Plants bugs in copies of the tree and runs the tests that should notice.",
        epilog="The bugs are listed in tests/mutants/*.toml. Exit status 1: too few were noticed.",
    )
    parser.add_argument("filters", nargs="*", metavar="FILTER", help="part of a name or a file")
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
    mutants = select(everything, options.filters, options.survivors)
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
