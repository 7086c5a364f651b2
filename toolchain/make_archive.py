# SPDX-License-Identifier: BSD-3-Clause
"""Packs files into a cpio archive (newc), the same bytes for the same contents.

Usage: make_archive.py ARCHIVE NAME=FILE...
"""

from __future__ import annotations

import sys
from pathlib import Path

import libarchive


def write_archive(archive: Path, members: list[tuple[str, Path]]) -> None:
    """Writes `archive`; every member is a plain file with mode 0644 and mtime 0."""
    with libarchive.file_writer(str(archive), "cpio_newc") as writer:
        for name, path in members:
            data = path.read_bytes()
            writer.add_file_from_memory(name, len(data), data, permission=0o644, mtime=0)


def main(arguments: list[str]) -> int:
    """Returns the exit status: 0, or 2 when the arguments make no sense."""
    if len(arguments) < 2 or not all("=" in argument for argument in arguments[1:]):
        print(__doc__, file=sys.stderr)
        return 2
    members = [argument.split("=", 1) for argument in arguments[1:]]
    write_archive(Path(arguments[0]), [(name, Path(path)) for name, path in members])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
