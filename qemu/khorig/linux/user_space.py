# SPDX-License-Identifier: BSD-3-Clause
"""Builds static programs for a Linux peer, with the nolibc of its source."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Sequence

from khorig.linux.peer import Peer
from khorig.vm.private_apt import command

_TARGET = {"x86_64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
FLAGS = (
    *("-Os", "-static", "-nostdlib", "-nostdinc", "-fno-stack-protector"),
    *("-fno-asynchronous-unwind-tables", "-Wall", "-Wextra", "-Wno-unused-function"),
    *("-Wno-unused-result", "--ld-path=/usr/bin/ld.lld-19", "-Wl,--build-id=none"),
)


def compile_static(
    peer: Peer,
    sources: Sequence[Path],
    includes: Sequence[Path],
    what: str,
    more: Sequence[str] = (),
) -> bytes:
    """Compiles `sources` to a program, with `more` options. Raises InfraError with `what` as its
    name."""
    compiler = command(["clang-19", "-print-resource-dir"], what).strip()
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program"
        words = ["clang-19", f"--target={_TARGET[peer.arch]}", *FLAGS]
        words += ["-isystem", f"{compiler}/include", "-I", str(peer.headers)]
        words += [word for folder_ in includes for word in ("-I", str(folder_))]
        words += ["-include", "nolibc.h", *more, *map(str, sources), "-o", str(program)]
        command(words, what)
        return program.read_bytes()
