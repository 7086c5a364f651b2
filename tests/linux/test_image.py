# SPDX-License-Identifier: BSD-3-Clause
"""What the head of a Linux image says."""

from __future__ import annotations

from pathlib import Path

import pytest

from khorig.linux.image import arch_of_image, page_shift_of_image
from khorig.vm.errors import InfraError


def arm64_image(folder: Path, flags: int) -> Path:
    """The 64 bytes of arm64/booting.rst, with these flags."""
    head = bytearray(64)
    head[24:32] = flags.to_bytes(8, "little")
    head[56:60] = b"ARM\x64"
    path = folder / "Image"
    path.write_bytes(head)
    return path


@pytest.mark.parametrize(
    "flags, shift", [(0x0, 0), (0x2, 12), (0xA, 12), (0x4, 14), (0x6, 16), (0xE, 16), (0x9, 0)]
)
def test_the_page_size_of_an_arm64_image(tmp_path: Path, flags: int, shift: int) -> None:
    path = arm64_image(tmp_path, flags)
    assert (arch_of_image(path), page_shift_of_image(path)) == ("arm64", shift)


def test_a_bzimage_has_pages_of_4_kib(tmp_path: Path) -> None:
    path = tmp_path / "bzImage"
    path.write_bytes(bytes(0x202) + b"HdrS" + b"\xff" * 64)
    assert (arch_of_image(path), page_shift_of_image(path)) == ("x86_64", 12)


@pytest.mark.parametrize("content", [b"", b"ARM\x64", b"\x7fELF" + bytes(2000)])
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for look in (arch_of_image, page_shift_of_image):
        with pytest.raises(InfraError, match="not a kexec-loadable kernel"):
            look(path)
    with pytest.raises(InfraError, match="No such file"):
        page_shift_of_image(tmp_path / "none")
