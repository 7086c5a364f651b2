# SPDX-License-Identifier: BSD-3-Clause
"""The one archive of a chain: a Linux initramfs, and what khorig loads the next kernel from."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Mapping

import xxhash

from khorig.linux.peer import Peer, cache_directory
from khorig.linux.source import command

_SOURCES = Path(__file__).parent / "init"
_TARGET = {"x86_64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
_FLAGS = (
    *("-Os", "-static", "-nostdlib", "-nostdinc", "-fno-stack-protector"),
    *("-fno-asynchronous-unwind-tables", "-Wall", "-Wextra", "-Wno-unused-function"),
    *("-Wno-unused-result", "--ld-path=/usr/bin/ld.lld-19", "-Wl,--build-id=none"),
)


def build_init(peer: Peer) -> bytes:
    """The user space of a Linux peer, one static program. Kept in the cache where that can be
    written. Raises InfraError."""
    digest = xxhash.xxh64(f"{peer.directory.name} {_FLAGS}")
    for source in sorted(path for path in _SOURCES.rglob("*") if path.is_file()):
        digest.update(source.read_bytes())
    path = cache_directory() / "init" / f"{peer.arch}-{digest.hexdigest()}"
    with contextlib.suppress(OSError):
        return path.read_bytes()
    program = _compile_init(peer)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole_bytes(path, program)
    return program


def _compile_init(peer: Peer) -> bytes:
    what = "the init of a Linux peer"
    compiler = command(["clang-19", "-print-resource-dir"], what).strip()
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "init"
        words = ["clang-19", f"--target={_TARGET[peer.arch]}", *_FLAGS]
        words += ["-isystem", f"{compiler}/include", "-I", str(peer.headers)]
        words += ["-I", str(_SOURCES / "arch" / peer.arch), "-include", "nolibc.h"]
        words += [str(_SOURCES / "init.c"), "-o", str(program)]
        command(words, what)
        return program.read_bytes()


def write_whole_bytes(path: Path, data: bytes) -> None:
    """Writes a file so that nobody ever sees a part of it. Raises OSError."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as sink:
        sink.write(data)
    os.replace(sink.name, path)


def write_archive(path: Path, members: Mapping[str, bytes], folders: tuple[str, ...]) -> None:
    """Writes a cpio archive (newc) at `path`, the same bytes for the same members."""
    import libarchive

    with libarchive.file_writer(str(path), "cpio_newc") as writer:
        for name in folders:
            writer.add_file_from_memory(
                name, 0, b"", filetype=stat.S_IFDIR, permission=0o755, mtime=0
            )
        for name, data in members.items():
            writer.add_file_from_memory(name, len(data), data, permission=0o755, mtime=0)


def append_archive(path: Path, more: Path) -> None:
    """Puts another initramfs behind; Linux unpacks both, the later one wins."""
    with path.open("ab") as sink:
        sink.write(b"\0" * (-sink.tell() % 512))
        sink.write(more.read_bytes())
