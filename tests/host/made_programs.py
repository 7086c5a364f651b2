# SPDX-License-Identifier: BSD-3-Clause
"""Programs and archives of a user, as small as they can be."""

from __future__ import annotations

import platform
import struct
from pathlib import Path

HERE = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
OTHER = {"x86_64": "arm64", "arm64": "x86_64"}[HERE]
_MACHINES = {"x86_64": 62, "arm64": 183}


def elf(arch: str = HERE, loader: str = "", kind: int = 2) -> bytes:
    """An executable with one segment."""
    text = loader.encode() + b"\0"
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", kind, _MACHINES.get(arch, 8), 1,
        0, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    return (
        head
        + struct.pack("<IIQQQQQQ", 3 if loader else 1, 4, 120, 0, 0, *[len(text)] * 2, 1)
        + text
    )


def program(folder: Path, data: bytes, name: str = "program", mode: int = 0o755) -> str:
    path = folder / name
    path.write_bytes(data)
    path.chmod(mode)
    return str(path)


DIRECTORY, FILE, LINK = 0o040755, 0o100755, 0o120777
_TRAILER = "TRAILER!!!"


def entry(name: str, mode: int = FILE, content: bytes = b"") -> bytes:
    """An entry of an archive (newc)."""
    fields = (1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(f"{field:08x}".encode() for field in fields)
    head += name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def archive(*entries: bytes) -> bytes:
    """Whole, and padded."""
    data = b"".join((*entries, entry(_TRAILER)))
    return data + bytes(-len(data) % 512)
