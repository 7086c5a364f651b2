# SPDX-License-Identifier: BSD-3-Clause
"""Linux images."""

from __future__ import annotations

from pathlib import Path

from khorig.vm.errors import InfraError

# Where each boot format has its magic (Linux: Documentation/arch/x86/boot.rst, arm64/booting.rst).
_MAGIC = {"x86_64": (0x202, b"HdrS"), "arm64": (0x38, b"ARM\x64")}


def arch_of_image(path: Path) -> str:
    """The architecture of a bzImage or arm64 Image. Raises InfraError if it is neither."""
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise InfraError(f"{path}: {error.strerror}") from error
    for arch, (at, magic) in _MAGIC.items():
        if head[at : at + len(magic)] == magic:
            return arch
    raise InfraError(f"{path}: not a kexec-loadable kernel (expected bzImage or arm64 Image)")
