# SPDX-License-Identifier: BSD-3-Clause
"""Runs the tests of the host side and prints how many lines of each room they run.

Lines that only a child process runs count, too, unless it ends by os._exit or is killed. What only
tests/e2e, tests/uefi and tests/linux run does not.

Exit status: 0 all tests passed, 1 some failed, 3 coverage cannot be measured here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(os.path.abspath(__file__)).parents[1]
FAILED, INFRA = 1, 3
_LEAST_COVERED = 10  # files that are printed
# They measure CPU time or what is imported, which a tracer changes.
_NOT_TRACED = {"test_benchmark.py", "test_bombs.py", "test_start_up.py", "test_terabyte.py"}
# Every Python process measures itself: this is imported before anything else.
_SITECUSTOMIZE = "import coverage\ncoverage.process_startup()\n"
_CONFIGURATION = """\
[run]
source = {source}
data_file = {data}
parallel = true
sigterm = true
"""


@dataclass(frozen=True)
class FileCoverage:
    """Of one file of the package."""

    name: str  # relative to the package: "run/session.py"
    lines: int  # that have something to run
    missed: tuple[int, ...]

    @property
    def room(self) -> str:
        """The folder, or the file itself at the package's root."""
        return self.name.split("/")[0]


def measure(source: Path, tests: Sequence[Path], jobs: int) -> tuple[bool, list[FileCoverage]]:
    """Runs pytest on `tests`, split over `jobs` processes, at the root of the tree. Whether all
    passed, and what they ran of the package in `source`."""
    import coverage

    with tempfile.TemporaryDirectory(prefix="khorig-coverage-") as name:
        work = Path(name)
        configuration = work / "coveragerc"
        configuration.write_text(_CONFIGURATION.format(source=source, data=work / "data"))
        (work / "sitecustomize.py").write_text(_SITECUSTOMIZE)
        environment = {
            **os.environ,
            "COVERAGE_PROCESS_START": str(configuration),
            "PYTHONPATH": os.pathsep.join((str(work), str(source.parent))),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        running = [
            subprocess.Popen([*command, *map(str, part)], cwd=ROOT, env=environment)
            for part in (tests[number::jobs] for number in range(jobs))
            if part
        ]
        passed = [process.wait() == 0 for process in running]
        result = coverage.Coverage(config_file=str(configuration))
        result.combine(keep=True)
        return all(passed), [
            _file(result, source, path)
            for path in sorted(source.rglob("*.py"))
            if path.stat().st_size
        ]


def _file(result: Any, source: Path, path: Path) -> FileCoverage:
    _, lines, _, missed, _ = result.analysis2(str(path))
    return FileCoverage(path.relative_to(source).as_posix(), len(lines), tuple(missed))


def report_lines(files: Iterable[FileCoverage]) -> list[str]:
    """A line for each room, the total, and the files with the most lines that no test runs."""
    rooms: dict[str, list[FileCoverage]] = defaultdict(list)
    for file in files:
        rooms[file.room].append(file)
    everything = [file for room in rooms.values() for file in room]
    lines = [f"{'room':<16} {'lines':>7} {'missed':>7} {'covered':>8}"]
    lines += [_line(name, rooms[name]) for name in sorted(rooms)]
    lines += [_line("total", everything), "", "most lines missed:"]
    ordered = sorted(everything, key=lambda file: (-len(file.missed), file.name))
    for file in ordered[:_LEAST_COVERED]:
        if file.missed:
            lines.append(f"{len(file.missed):>5} of {file.lines:<5} {file.name}")
    return lines


def _line(name: str, files: Sequence[FileCoverage]) -> str:
    lines = sum(file.lines for file in files)
    missed = sum(len(file.missed) for file in files)
    covered = 100 * (lines - missed) / lines if lines else 100.0
    return f"{name:<16} {lines:>7} {missed:>7} {covered:>7.1f}%"


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="khorig coverage", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("tests", nargs="*", type=Path, help="test files; all of tests/host if none")
    options = parser.parse_args(arguments)
    tests = options.tests or [
        path
        for path in sorted((ROOT / "tests" / "host").rglob("test_*.py"))
        if path.name not in _NOT_TRACED
    ]
    try:
        passed, files = measure(ROOT / "qemu" / "khorig", tests, max(1, options.jobs))
    except ImportError:
        print("khorig: python3-coverage is not installed (fix: scripts/setup)", file=sys.stderr)
        return INFRA
    print("\n".join(report_lines(files)))
    return 0 if passed else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
