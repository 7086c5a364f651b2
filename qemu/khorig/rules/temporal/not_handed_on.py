# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel does not hand on, by design, of what it was given (KHR-I098)."""

from __future__ import annotations

from khorig.kho.boot.given import CHOSEN, EFI_INFO, SETUP_DATA

# Of this boot alone: written anew by every kernel.
_OF_ONE_BOOT = tuple(
    CHOSEN + name
    for name in (
        "bootargs",
        "linux,initrd-start",
        "linux,initrd-end",
        "linux,kho-fdt",
        "linux,kho-scratch",
        "linux,booted-from-kexec",
        "linux,elfcorehdr",
        "linux,usable-memory-range",
        "linux,dmcryptkeys",
        "linux,ima-kexec-buffer",
    )
)
# Good for one kernel: a new one, or none.
SEEDS = (SETUP_DATA + "9", CHOSEN + "rng-seed", CHOSEN + "kaslr-seed")

_BY_ANY = frozenset((*_OF_ONE_BOOT, *SEEDS))
# Linux 7.3's arch/x86/kernel/kexec-bzimage64.c writes the types that it knows, and no other: EFI
# (with efi_info) where its runtime services are on, the device tree (2) only where it was built
# with OF_FLATTREE and is told to (KEXEC_FILE_FORCE_DTB), measurements (8) of its own.
_BY_A_LINUX = frozenset((EFI_INFO, SETUP_DATA + "4", SETUP_DATA + "2", SETUP_DATA + "8"))


def may_be_missing(name: str, behind_linux: bool) -> bool:
    """Whether the kernel behind one that was given this need not be given it."""
    if name in _BY_ANY:
        return True
    return behind_linux and (name in _BY_A_LINUX or name.startswith(SETUP_DATA))


def may_differ(name: str) -> bool:
    """Whether it may have another content: what is for one boot has."""
    return name in _BY_ANY
