# SPDX-License-Identifier: BSD-3-Clause
"""The archive of a chain: a Linux initramfs with the kernels that khorig loads."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Mapping

import xxhash

from khorig.linux.peer import Peer, cache_directory
from khorig.linux.user_space import FLAGS, compile_static

_SOURCES = Path(__file__).parent / "init"


def build_init(peer: Peer) -> bytes:
    """User space of a Linux peer, one static program; cached if the cache is writable. Raises
    InfraError."""
    digest = xxhash.xxh64(f"{peer.directory.name} {FLAGS}")
    for source in sorted(path for path in _SOURCES.rglob("*") if path.is_file()):
        digest.update(source.read_bytes())
    path = cache_directory() / "init" / f"{peer.arch}-{digest.hexdigest()}"
    with contextlib.suppress(OSError):
        return path.read_bytes()
    includes = [_SOURCES / "arch" / peer.arch]
    program = compile_static(peer, [_SOURCES / "init.c"], includes, "the init of a Linux peer")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole_bytes(path, program)
    return program


def write_whole_bytes(path: Path, data: bytes) -> None:
    """Writes a file atomically. Raises OSError."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as sink:
        sink.write(data)
    os.replace(sink.name, path)


def write_archive(path: Path, members: Mapping[str, bytes], folders: tuple[str, ...]) -> None:
    """Writes a reproducible cpio archive (newc) to `path`."""
    import libarchive

    with libarchive.file_writer(str(path), "cpio_newc") as writer:
        for name in folders:
            writer.add_file_from_memory(
                name, 0, b"", filetype=stat.S_IFDIR, permission=0o755, mtime=0
            )
        for name, data in members.items():
            writer.add_file_from_memory(name, len(data), data, permission=0o755, mtime=0)


def append_archive(path: Path, more: Path) -> None:
    """Appends another initramfs; Linux unpacks both, the later one wins."""
    with path.open("ab") as sink:
        sink.write(b"\0" * (-sink.tell() % 512))
        sink.write(more.read_bytes())
