# SPDX-License-Identifier: BSD-3-Clause
"""Which files a Linux finds in an initramfs."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_programs import DIRECTORY, LINK, archive, entry

from khorig.linux import packing
from khorig.linux.initrd import NoInitrd, read_initrd


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def write(folder: Path, data: bytes) -> Path:
    path = folder / "initrd"
    path.write_bytes(data)
    return path


LINKS = archive(
    entry("usr", DIRECTORY),
    entry("usr/bin", DIRECTORY),
    entry("usr/bin/busybox"),
    entry("usr/bin/sh", LINK, b"busybox"),
    entry("bin", LINK, b"usr/bin"),
    entry("./sbin", LINK, b"/usr/bin/../bin"),
    entry("loop", LINK, b"loop"),
    entry("out", LINK, b"../../../usr/bin/sh"),
    entry("broken", LINK, b"nothing"),
)


@pytest.mark.parametrize(
    "path",
    ["/usr/bin/busybox", "/bin/busybox", "/bin/sh", "//bin/./sh", "/sbin/sh", "/out", "/usr"],
)
def test_a_path_is_followed_through_links(tmp_path: Path, path: str) -> None:
    assert read_initrd(write(tmp_path, LINKS)).has(path)


@pytest.mark.parametrize("path", ["/none", "/bin/none", "/loop", "/broken", "/", "/usr/bin/sh/x"])
def test_a_path_that_leads_nowhere(tmp_path: Path, path: str) -> None:
    assert not read_initrd(write(tmp_path, LINKS)).has(path)


def test_archives_one_after_the_other_are_one(tmp_path: Path) -> None:
    first, second, third = (archive(entry(name)) for name in ("first", "second", "third"))
    for packed in (
        gzip.compress(second),
        bz2.compress(second),
        lzma.compress(second),
        zstd(second),
    ):
        found = read_initrd(write(tmp_path, first + packed + bytes(512) + third))
        assert found.is_complete and set(found.links) == {"first", "second", "third"}


def test_what_unpacks_to_more_than_fits_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Piece by piece, so that what is small and packs a lot does not fill memory."""
    monkeypatch.setattr(packing, "_MOST", 1 << 20)
    for packed in (gzip.compress(bytes(1 << 28)), zstd(bytes(1 << 28))):
        with pytest.raises(NoInitrd, match="more than 1048576 bytes"):
            read_initrd(write(tmp_path, packed))


@pytest.mark.parametrize("depth", [2, 5000])
def test_what_is_packed_twice_is_nothing_for_linux(tmp_path: Path, depth: int) -> None:
    data = archive(entry("first"))
    for _ in range(depth):
        data = gzip.compress(data, 1)
    with pytest.raises(NoInitrd, match=r"decompressed content: not a cpio archive \(newc\)"):
        read_initrd(write(tmp_path, data))


@pytest.mark.parametrize("magic", [b"\x02\x21\x4c\x18", b"\x89LZO\0\r\n\x1a\n"])
def test_a_packing_that_only_linux_knows_is_no_fault(tmp_path: Path, magic: bytes) -> None:
    found = read_initrd(write(tmp_path, archive(entry("first")) + magic + bytes(100)))
    assert not found.is_complete and found.has("/first")


# Its size leads back to its own beginning: int() takes a sign.
_BACKWARDS = entry("a")[:54] + b"-0000070" + entry("a")[62:]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (archive(entry("a", content=b"x" * 5000))[:4000], "damaged cpio archive at byte 0x0"),
        (entry("a") + entry("b"), "damaged cpio archive at byte 0xe0"),
        (archive(entry("a")) + b"rest", "not a cpio archive (newc) at byte 0x200"),
        (_BACKWARDS, "damaged cpio archive at byte 0x0"),
        (gzip.compress(archive(entry("a")))[:-20], "decompression failed (truncated)"),
        (gzip.compress(archive()), "empty cpio archive"),
        (archive(), "empty cpio archive"),
    ],
    ids=range(7),
)
def test_what_linux_does_not_unpack_is_named(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(NoInitrd) as error:
        read_initrd(write(tmp_path, data))
    assert str(error.value).startswith(why)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(LINKS) - 1), st.binary(min_size=1, max_size=16))
def test_damage_anywhere_is_an_error_or_an_archive(tmp_path: Path, at: int, data: bytes) -> None:
    path = write(tmp_path, LINKS[:at] + data + LINKS[at + len(data) :])
    try:
        read_initrd(path).has("/bin/sh")
    except NoInitrd:
        pass
