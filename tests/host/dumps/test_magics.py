# SPDX-License-Identifier: BSD-3-Clause
"""Files that are no dump are named in one line that tells what to do, soon and without a trace."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import Callable

import pytest
from dumps.dump_files import kdump_bytes
from view.handover_image import typical_image

from khorig.cli.main import main
from khorig.mem.formats import UnreadableDump, open_dump
from khorig.mem.formats.magics import MAGICS, Magic, foreign

_MOST_S = 1.0  # of CPU
_MIB = 1 << 20


def at(offset: int, content: bytes) -> bytes:
    """A file of a MiB with bytes at an offset."""
    return (bytes(offset) + content).ljust(_MIB, b"\0")


def elf(
    kind: int = 4, machine: int = 62, width: int = 2, order: int = 1, note: bytes = b""
) -> bytes:
    """An ELF file with a segment of memory at 0 and one of notes."""
    head = b"\x7fELF" + bytes([width, order, 1]) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 4, 0, 176, 0, 0, len(note), len(note), 4)
    head += struct.pack("<IIQQQQQQ", 1, 7, 4096, 0x400000, 0, 4096, 4096, 4096)
    return (head + note).ljust(8192, b"\0")


def note(name: bytes, kind: int, content: bytes) -> bytes:
    padded = (name + b"\0").ljust(-(-(len(name) + 1) // 4) * 4, b"\0")
    head = struct.pack("<III", len(name) + 1, len(content), kind)
    return head + padded + content.ljust(-(-len(content) // 4) * 4, b"\0")


def kdump(machine: bytes) -> bytes:
    """The head of a file for a machine with words of 32 bits, whose fields lie elsewhere."""
    fields = (b"Linux", b"node", b"6.4.3", b"#1", machine, b"(none)")
    names = b"".join(field.ljust(65, b"\0") for field in fields)
    return (b"KDUMP   " + struct.pack("<I", 6) + names).ljust(20504, b"\1")


_PROGRAM = note(b"CORE", 3, bytes(40) + b"crashme".ljust(16, b"\0") + bytes(80))
_CASES = {
    "QEMU migration": (at(0, b"QEVM\0\0\0\3"), "QEMU migration stream.*dump-guest-memory"),
    "libvirt": (at(0, b"LibvirtQemudSave"), "libvirt saved domain.*virsh dump"),
    "qcow2": (at(0, b"QFI\xfb\0\0\0\3"), "qcow2.*dump-guest-memory"),
    "vmdk": (at(0, b"KDMV"), "VMDK"),
    "LKCD": (at(0, struct.pack("<Q", 0xA8190173618F23ED)), "LKCD"),
    "sadump": (at(0, b"sadump\0\0"), "sadump.*makedumpfile"),
    "Windows": (at(0, b"PAGEDU64"), "Windows"),
    "AVML 2": (at(0, struct.pack("<II", 0x4C4D5641, 2)), "AVML.*snappy.*avml-convert"),
    "LiME 2": (at(0, struct.pack("<4sI", b"EMiL", 2)), "LiME header.*version 2"),
    "LiME cut": (struct.pack("<4sIQQ8x", b"EMiL", 1, 0, _MIB - 1) + bytes(4096), "LiME.*cut off"),
    "bzImage": (at(0, b"MZ".ljust(0x202, b"\0") + b"HdrS"), "bzImage.*a kernel"),
    "Image": (at(0, b"MZ".ljust(56, b"\0") + b"ARM\x64"), "arm64.*a kernel"),
    "PE": (at(0, b"MZ\x90\0"), "PE file"),
    "vmlinux": (elf(kind=2), "ELF executable .vmlinux"),
    "shared library": (elf(kind=3), "ELF executable or shared"),
    "module": (elf(kind=1), "ELF object"),
    "ELF of 32 bits": (elf(width=1), "64-bit little-endian"),
    "big-endian ELF": (elf(order=2), "64-bit little-endian"),
    "ELF of s390": (elf(machine=22), "machine 22: only x86_64 and arm64"),
    "process": (elf(note=_PROGRAM), "core of a process .crashme., not of a machine"),
    "nameless process": (elf(note=note(b"CORE", 6, bytes(16))), "core of a process, not"),
    "kdump of arm": (kdump(b"armv7l"), "kdump of machine armv7l: only x86_64 and arm64"),
    "kdump of i686": (kdump(b"i686"), "kdump of machine i686: only x86_64 and arm64"),
    "kdump that escapes": (kdump(b"\x1b[31mx"), r"kdump of machine \?\[31mx"),
    "snappy": (at(0, b"\xff\6\0\0sNaPpY"), "snappy"),
    "cpio": (b"070701" + b"0" * 4096, "cpio archive"),
    "tar": (at(257, b"ustar\0"), "tar archive"),
    "zip": (at(0, b"PK\3\4"), "zip archive"),
    "squashfs": (at(0, b"hsqs"), "squashfs.*mount it"),
    "swap": (at(4086, b"SWAPSPACE2"), "swap area"),
    "device tree": (struct.pack(">II", 0xD00DFEED, 8192).ljust(8192, b"\0"), "device tree blob"),
    "HTML": (b" <!DOCTYPE html><title>404</title>", "HTML"),
    "log": (b"[    0.000000] Linux version 7.3\n" * 999, "text.*vmcore-dmesg"),
    "UTF-8": ("größe 你好\n".encode() * 999, "text"),
    "UTF-16": ("log".encode("utf-16"), "UTF-16"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "short": (b"\0", "1 bytes are not whole pages"),
    "odd size": (bytes(_MIB + 5), "1048581 bytes are not whole pages"),
}


def _spent(do: Callable[[], None]) -> float:
    begin = time.process_time()
    do()
    return time.process_time() - begin


@pytest.mark.parametrize("name", sorted(_CASES))
@pytest.mark.parametrize("verb", ["inspect", "check"])
def test_a_file_that_is_no_dump(
    name: str, verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, expected = _CASES[name]
    path = tmp_path / "file"
    path.write_bytes(content)

    def do() -> None:
        with pytest.raises(SystemExit) as end:
            main([verb, str(path)])
        assert end.value.code == 2

    assert _spent(do) < _MOST_S
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1 and err.startswith(f"khorig: {path}: ")
    with pytest.raises(UnreadableDump, match=expected):
        open_dump(path)


@pytest.mark.parametrize("magic", MAGICS, ids=lambda magic: f"{magic.offset}-{magic.what}")
def test_every_magic(magic: Magic) -> None:
    head = at(magic.offset, magic.bytes)
    assert foreign(head, len(head)) == str(magic)


def test_memory_of_a_machine_that_is_named_may_start_with_anything(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(at(0, b"MZ".ljust(56, b"\0") + b"ARM\x64"))
    with open_dump(path, "virt") as dump:
        assert dump.format == "RAM image" and dump.arch == "arm64"


def test_ram_of_zeros_is_ram(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(_MIB))
    with open_dump(path) as dump:
        assert dump.format == "RAM image"


def test_what_is_not_a_file(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    for place in (path, Path("/dev/null"), tmp_path):
        with pytest.raises(UnreadableDump):
            open_dump(place)


def test_text_that_ends_inside_a_character() -> None:
    assert "text" in str(foreign(("x" * 4095 + "ö").encode()[:4096], 8192))
    assert foreign(b"\xff" * 4096, 4096) is None


@pytest.mark.parametrize("machine", ["", "Unknown"])
def test_a_kdump_that_names_no_machine(machine: str, tmp_path: Path) -> None:
    """As QEMU writes it for arm64."""
    image = typical_image()
    image.finish()
    raw = kdump_bytes(image.ram, "arm64").replace(b"aarch64", machine.encode().ljust(7, b"\0"), 1)
    (tmp_path / "kdump").write_bytes(raw)
    with open_dump(tmp_path / "kdump") as dump:
        assert dump.arch is None and dump.format == "kdump"
