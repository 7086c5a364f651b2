# SPDX-License-Identifier: BSD-3-Clause
"""The command that attaches gdb to a guest."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from khorig.guest.event import GuestEvent
from khorig.vm.elf_file import ElfFile

_GDB = {"x86_64": "gdb", "arm64": "gdb-multiarch"}
_U64 = (1 << 64) - 1


def gdb_command(arch: str, elf: Path | None, port: int, boot: GuestEvent | None = None) -> str:
    """Shell command for a guest whose running kernel has the symbols `elf`. `boot` is its event:
    khorig's first instructions run where it was loaded, with the addresses of physical memory, so
    its symbols are there, too."""
    words = [_GDB[arch]]
    if elf is not None:
        words.append(str(elf))
        if (offset := _offset(elf, boot)) is not None:
            words += ["-ex", f"add-symbol-file {elf} -o {offset:#x}"]
    words += ["-ex", f"target remote localhost:{port}"]
    return shlex.join(words)


def no_gdb(arch: str) -> str | None:
    """What to install for the command; None when it is there."""
    return None if shutil.which(_GDB[arch]) else f"apt-get install {_GDB[arch]}"


def _offset(elf: Path, boot: GuestEvent | None) -> int | None:
    """Where the image was loaded, minus where it was linked."""
    try:
        image = boot.fields["image"] if boot is not None else None
        linked = ElfFile(elf).symbol("__image_begin")
        return (int(image[0], 16) - linked) & _U64 if image else None
    except (KeyError, TypeError, IndexError, ValueError, OSError):
        return None
