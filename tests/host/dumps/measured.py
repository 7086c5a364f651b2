# SPDX-License-Identifier: BSD-3-Clause
"""What reading a dump costs, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_MOST_MEMORY = 4 << 30  # bytes of address space besides the file: a bomb ends there, not the host
_TIMEOUT_S = 300

_RUN = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, ({most}, {most}))
from khorig.cli.main import main
main(sys.argv[1:])
"""

# Every preserved block by itself, as a user's loop would ask.
_OWNERS = """
import sys
from pathlib import Path
from khorig.kho.snapshot import find_snapshot
from khorig.mem.formats import open_dump
with open_dump(Path(sys.argv[1])) as dump:
    snapshot = find_snapshot(dump)
    found = {snapshot.owners.owner(frame) for frame in snapshot.handover.blocks.frames.tolist()}
print(len(found), "owners")
"""


@dataclass(frozen=True)
class Measured:
    """A process that ended."""

    status: int
    out: str
    err: str
    cpu_s: float
    mib: int  # resident at most

    def __str__(self) -> str:
        return f"status {self.status}, {self.cpu_s:.2f} s of CPU, {self.mib} MiB: {self.err[-300:]}"


def run_python(code: str, *words: object) -> Measured:
    """Python's `code` with the arguments `words`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    out, err = process.communicate(timeout=_TIMEOUT_S)
    status, cpu_s, mib, *_ = err.rsplit("\n", 2)[-2].split() if err else ("", "0", "0")
    return Measured(process.returncode, out, err.rsplit("\n", 2)[0], float(cpu_s), int(mib))


_MEASURED = """
import atexit, os, resource, sys
def _print():
    sys.stdout.flush()
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = [l for l in open("/proc/self/status") if l.startswith("VmHWM")][0].split()[1]
    print(f"\\nmeasured {used.ru_utime + used.ru_stime:.3f} {int(peak) >> 10}", file=sys.stderr)
atexit.register(_print)
"""


def khorig(*words: object) -> Measured:
    """The command line with some arguments."""
    return run_python(_MEASURED + _RUN.format(most=_MOST_MEMORY), *words)


def owner_of_every_block(path: Path) -> Measured:
    """A loop over all preserved blocks."""
    return run_python(_MEASURED + _OWNERS, path)
