# SPDX-License-Identifier: BSD-3-Clause
"""What `khorig inspect`, `check` and `diff` cost on 1 GiB with 100,000 preserved blocks, beside cmp
and sha256sum on the same files in the same run.

The limits are for CPU time: the clock also counts what else the machine does. Both are printed, the
best of some rounds. KHORIG_BENCHMARK names a folder in which the files stay for the next time.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from dumps.large_image import write_all

_ROUNDS = 3
_MOST_CPU_S = 2.0
_MOST_MIB = 300
_DIFFERENT = 1  # exit status
# The most memory of a child that was forked is at least that of its parent; the process itself
# knows better.
_RUN = """
import sys
from khorig.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    status = end.code or 0
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1]
print("peak", peak, file=sys.stderr)
sys.exit(status)
"""


@dataclass(frozen=True)
class Cost:
    """The least of some rounds."""

    wall_s: float
    cpu_s: float
    mib: int

    def __str__(self) -> str:
        return f"{self.wall_s:6.2f} s, {self.cpu_s:6.2f} s of CPU, {self.mib:4} MiB"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the files, written by a process that takes its memory along."""
    chosen = os.environ.get("KHORIG_BENCHMARK")
    path = Path(chosen) if chosen else tmp_path_factory.mktemp("large")
    if not (path / "done").exists():
        writer = multiprocessing.Process(target=write_all, args=(path,))
        writer.start()
        writer.join()
        assert writer.exitcode == 0
        (path / "done").touch()
    return path


def _once(words: list[str], expected: int) -> Cost:
    begin = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr
    process.stdout.read()
    said = process.stderr.read().split()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == expected, (words, process.returncode, said)
    peak = int(said[-1]) >> 10 if said else 0
    return Cost(time.monotonic() - begin, used.ru_utime + used.ru_stime, peak)


def _measure(label: str, words: list[str], expected: int = 0) -> Cost:
    costs = [_once(words, expected) for _ in range(_ROUNDS)]
    cost = Cost(
        min(c.wall_s for c in costs), min(c.cpu_s for c in costs), max(c.mib for c in costs)
    )
    print(f"{label:<36} {cost}", flush=True)
    return cost


def _khorig(*words: object, expected: int = 0) -> Cost:
    label = " ".join(Path(str(word)).name for word in words)
    return _measure(label, [sys.executable, "-c", _RUN, *map(str, words)], expected)


def _check(cost: Cost, most_cpu_s: float = _MOST_CPU_S) -> None:
    assert cost.cpu_s < most_cpu_s and 0 < cost.mib < _MOST_MIB, cost


@pytest.mark.parametrize("verb", ["inspect", "check"])
@pytest.mark.parametrize("name", ["a.ram", "a.ram.zst", "a.core", "a.kdump", "wide.ram"])
def test_reading(folder: Path, verb: str, name: str) -> None:
    _check(_khorig(verb, folder / name))


def test_sha256sum(folder: Path) -> None:
    _measure("sha256sum a.ram", ["sha256sum", str(folder / "a.ram")])


@pytest.mark.parametrize("suffix", ["ram", "ram.zst", "core"])
def test_comparing(folder: Path, suffix: str) -> None:
    # Files that are the same: cmp stops at the first difference.
    cmp = _measure("cmp a.ram copy.ram", ["cmp", str(folder / "a.ram"), str(folder / "copy.ram")])
    pair = [folder / f"{name}.{suffix}" for name in ("a", "b")]
    _check(_khorig("diff", *pair, expected=_DIFFERENT), max(_MOST_CPU_S, 2 * cmp.cpu_s))
