# SPDX-License-Identifier: BSD-3-Clause
"""tmpfs-mnt-v1 and tmpfs-file-v1: a mount and a file in it."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from formats.luo_image import LuoImage, violated
from hypothesis import given, settings
from hypothesis import strategies as st

from khorig.out.inspect.client_lines import client_lines

MOUNT = 0x20
FILE = 0x21


def image_with(mode: int = 0o1777, flags: int = 0, limit: int = 64, **file: Any) -> LuoImage:
    image = LuoImage()
    image.file("tmpfs-mnt-v1", image.blob(struct.pack("<QII", limit, mode, flags)), MOUNT)
    folios = [(image.blob(b"", 1), 0), (image.blob(b""), 3)]
    entries = b"".join(struct.pack("<QQ", at >> 12, n) for at, n in file.get("folios", folios))
    head = struct.pack(
        "<QQQIIQ", file.get("mount", MOUNT), 5, file.get("size", 4 << 12), 0o644,
        file.get("file_flags", 0), 2,
    )  # fmt: skip
    name = file.get("name", b"state.bin").ljust(256, b"\0")
    array = image.image.vmalloc([image.blob(entries)])
    image.file("tmpfs-file-v1", image.blob(head + array + name), FILE)
    return image.finish()


def test_a_mount_and_a_file() -> None:
    image = image_with()
    assert violated(image) == {}
    snapshot = image.snapshot()
    lines = client_lines(snapshot)
    mount = "tmpfs-mnt-v1, mount of tmpfs, at most 64 pages, mode 0o1777"
    assert f"LUO:   token 0x20: {mount}" in lines
    file = "tmpfs-file-v1, file 'state.bin' of mount 0x20, 0x4000 bytes in 2 folios"
    assert f"LUO:   token 0x21: {file}" in lines
    assert not len(snapshot.owners.unowned[0])
    parts = ("", " chunk", " array", " folio")
    assert {f"LUO/vm/0x21{part}" for part in parts} <= set(snapshot.owners.names)
    assert "no limit" in str(image_with(limit=0).decoded("tmpfs-mnt-v1").state)


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"mode": 1 << 16}, "mode 0o200000, expected at most 0o177777"),
        ({"flags": 2}, "flags 0x2, expected 0"),
        ({"file_flags": 4}, "flags 0x4, expected 0"),
        ({"mount": FILE}, "no mount 0x21 in the session, expected a tmpfs-mnt-v1"),
        ({"name": b"a/b"}, "b'a/b' is no name of a file"),
        ({"name": b".."}, "b'..' is no name of a file"),
        ({"name": b""}, "b'' is no name of a file"),
        (
            {"name": b"a\0b"},
            f"name {b'a' + bytes(1) + b'b' + bytes(13)!r}... does not end in zeros",
        ),
        ({"name": b"n" * 256}, f"name {b'n' * 16!r}... does not end in zeros"),
        ({"size": 3 << 12}, "LUO/vm/0x21: a folio for page 3 of a file of 3 pages"),
        ({"folios": [(4096, 0), (8192, 1)]}, "LUO/vm/0x21: folio 0 of 2 is not preserved"),
    ],
)
def test_what_is_wrong(changes: dict[str, Any], text: str) -> None:
    assert violated(image_with(**changes))["KHR-I208"] == [text]


@settings(deadline=None)
@given(st.binary(max_size=16), st.binary(max_size=312), st.binary(max_size=16))
def test_any_bytes(mount: bytes, file: bytes, name: bytes) -> None:
    ram = _ANY.image.ram
    ram.write(_PLACES[0], mount.ljust(16, b"\0"))
    ram.write(_PLACES[1], file.ljust(312, b"\0"))
    violated(_ANY)
    ram.write(_PLACES[1], struct.pack("<QQQIIQ16s", MOUNT, 0, 4096, 0, 0, 0, b"") + name)
    violated(_ANY)
    assert all(line.isprintable() for line in client_lines(_ANY.snapshot()))


_ANY = LuoImage()
_PLACES = [_ANY.blob(b"") for _ in range(2)]
_ANY.file("tmpfs-mnt-v1", _PLACES[0], MOUNT)
_ANY.file("tmpfs-file-v1", _PLACES[1], FILE)
_ANY.finish()
