# SPDX-License-Identifier: BSD-3-Clause
"""Makes the pictures of README and docs with the commands that users have.

Usage: make_pictures.py [FOLDER]

FOLDER is docs/pictures by default. Needs built kernels. The same kernels and the same QEMU give the
same pictures.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(os.path.abspath(__file__)).parents[1]
FAILED_RUN = "failed-run.svg"
MEMORY_MAP = "memory-map.svg"
_RUN = ("run", "--machine", "q35", "--fault", "write-after-seal", "--mem", "128M", "--out", "out")
_FAILED = 1  # exit status


def make(folder: Path) -> None:
    """Writes the pictures. Raises RuntimeError with the words of a command that goes wrong."""
    folder = folder.resolve()
    with tempfile.TemporaryDirectory(prefix="khorig-pictures-") as name:
        work = Path(name)
        _khorig(work, *_RUN, status=_FAILED)
        _khorig(work, "report", "out/latest", "--svg", str(folder / FAILED_RUN))
        [image] = work.glob("out/latest/*/*/recorded/gen1.sealed.ram.zst")
        _khorig(work, "inspect", str(image), "--svg", str(folder / MEMORY_MAP))


def _khorig(work: Path, *words: str, status: int = 0) -> None:
    qemu = str(ROOT / "qemu")
    command = [sys.executable, "-m", "khorig", *words]
    environment = {**os.environ, "PYTHONPATH": qemu}
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
    if done.returncode != status:
        told = done.stderr or done.stdout
        raise RuntimeError(f"khorig {' '.join(words)}: exit status {done.returncode}: {told}")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures")
