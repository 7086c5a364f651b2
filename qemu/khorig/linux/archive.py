# SPDX-License-Identifier: BSD-3-Clause
"""The one archive of a chain: a Linux initramfs, and what khorig loads the next kernel from."""

from __future__ import annotations

import os
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


def build_init(peer: Peer) -> Path:
    """The user space of a Linux peer, one static program, built once for each version of it.
    Raises InfraError."""
    digest = xxhash.xxh64(f"{peer.directory.name} {_FLAGS}")
    for source in sorted(_SOURCES.iterdir()):
        digest.update(source.read_bytes())
    path = cache_directory() / "init" / f"{peer.arch}-{digest.hexdigest()}"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    compiler = command(["clang-19", "-print-resource-dir"], "the init of a Linux peer").strip()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        program = Path(folder) / "init"
        words = ["clang-19", f"--target={_TARGET[peer.arch]}", *_FLAGS]
        words += ["-isystem", f"{compiler}/include", "-I", str(peer.headers)]
        words += ["-include", "nolibc.h", str(_SOURCES / "init.c"), "-o", str(program)]
        command(words, "the init of a Linux peer")
        os.replace(program, path)
    return path


def write_archive(path: Path, members: Mapping[str, bytes], folders: tuple[str, ...]) -> None:
    """Writes a cpio archive (newc) at `path`, the same bytes for the same members."""
    import libarchive
    from libarchive.entry import FileType

    with libarchive.file_writer(str(path), "cpio_newc") as writer:
        for name in folders:
            writer.add_file_from_memory(
                name, 0, b"", filetype=FileType.DIRECTORY, permission=0o755, mtime=0
            )
        for name, data in members.items():
            writer.add_file_from_memory(name, len(data), data, permission=0o755, mtime=0)


def append_archive(path: Path, more: Path) -> None:
    """Puts another initramfs behind; Linux unpacks both, the later one wins."""
    with path.open("ab") as sink:
        sink.write(b"\0" * (-sink.tell() % 512))
        sink.write(more.read_bytes())
