# SPDX-License-Identifier: BSD-3-Clause
"""Linux images."""

from __future__ import annotations

from pathlib import Path

from khorig.vm.errors import InfraError

# Where each boot format has its magic (Linux: Documentation/arch/x86/boot.rst, arm64/booting.rst).
_MAGIC = {"x86_64": (0x202, b"HdrS"), "arm64": (0x38, b"ARM\x64")}


# Bits 1 and 2 of the flags of an arm64 Image (arm64/booting.rst), by their value.
_FLAGS, _PAGE_SHIFTS = 24, (0, 12, 14, 16)


def arch_of_image(path: Path) -> str:
    """The architecture of a bzImage or arm64 Image. Raises InfraError if it is neither."""
    head = _head(path)
    for arch, (at, magic) in _MAGIC.items():
        if head[at : at + len(magic)] == magic:
            return arch
    raise InfraError(f"{path}: not a kexec-loadable kernel (expected bzImage or arm64 Image)")


def page_shift_of_image(path: Path) -> int:
    """The page shift that a kernel is built for; 0 if its image does not say. Raises InfraError as
    `arch_of_image`."""
    if arch_of_image(path) != "arm64":
        return _PAGE_SHIFTS[1]
    return _PAGE_SHIFTS[_head(path)[_FLAGS] >> 1 & 3]


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1024)
    except OSError as error:
        raise InfraError(f"{path}: {error.strerror}") from error
