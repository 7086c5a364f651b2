# SPDX-License-Identifier: BSD-3-Clause
"""Makes a FAT volume, the same bytes for the same contents.

Every folder with files gets a checksums.txt that says what they are, in the format of xxhsum -H1;
the loader reads it before it believes them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

import xxhash

CHECKSUMS = "checksums.txt"
ROOM = 1 << 20  # bytes left free, for what a run adds
SECTOR = 512
# 1980-01-01, the first day that FAT knows.
EPOCH = "315532800"


def checksums(files: dict[PurePosixPath, Path]) -> dict[PurePosixPath, str]:
    """The checksums.txt of every folder, by its path."""
    lines: dict[PurePosixPath, str] = {}
    for path, source in sorted(files.items()):
        digest = xxhash.xxh64(source.read_bytes()).hexdigest()
        where = path.parent / CHECKSUMS
        lines[where] = lines.get(where, "") + f"{digest}  {path.name}\n"
    return lines


def fill(tree: Path, files: dict[PurePosixPath, Path]) -> int:
    """Lays out the volume's contents below `tree`; returns their size in bytes."""
    for path, source in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(source.read_bytes())
    for path, text in checksums(files).items():
        (tree / path).write_text(text)
    everything = [entry for entry in tree.rglob("*") if entry.is_file()]
    for entry in [*everything, *(e for e in tree.rglob("*") if e.is_dir())]:
        os.utime(entry, (int(EPOCH), int(EPOCH)))
    return sum(entry.stat().st_size for entry in everything)


def make_volume(volume: Path, files: dict[PurePosixPath, Path], mkfs: str, mcopy: str) -> None:
    """Writes `volume`. Raises CalledProcessError when a tool fails; it has then said why."""
    environment = {"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": EPOCH, "MTOOLS_SKIP_CHECK": "1"}
    with tempfile.TemporaryDirectory(prefix="khorig.") as folder:
        tree = Path(folder)
        size = -(-(fill(tree, files) + ROOM) // SECTOR) * SECTOR
        volume.unlink(missing_ok=True)
        with volume.open("wb") as stream:
            stream.truncate(size)
        subprocess.run(
            [mkfs, "--invariant", "-F", "12", "-s", "8", "-n", "KHORIG", str(volume)],
            check=True,
            stdout=subprocess.DEVNULL,
            env=environment,
        )
        entries = sorted(str(entry) for entry in tree.iterdir())
        subprocess.run(
            [mcopy, "-s", "-p", "-m", "-i", str(volume), *entries, "::/"],
            check=True,
            env=environment,
        )


def main(arguments: list[str]) -> int:
    """Returns the exit status: 0, or 1 when a tool failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mkfs", default="/usr/sbin/mkfs.fat")
    parser.add_argument("--mcopy", default="/usr/bin/mcopy")
    parser.add_argument("volume", type=Path)
    parser.add_argument("files", nargs="+", metavar="PATH=FILE")
    options = parser.parse_args(arguments)
    pairs = [entry.split("=", 1) for entry in options.files]
    files = {PurePosixPath(path): Path(source) for path, source in pairs}
    try:
        make_volume(options.volume, files, options.mkfs, options.mcopy)
    except subprocess.CalledProcessError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
