# SPDX-License-Identifier: BSD-3-Clause
"""Flags with which a Linux of a chain loads its next kernel, as words."""

from __future__ import annotations

from types import MappingProxyType

FORM = "[N:]FLAG[,FLAG...]"
NO_INITRAMFS = "no-initramfs"

# Of kexec_file_load (include/uapi/linux/kexec.h). Unloading loads no kernel; DEBUG is always on, so
# that the log has the segments, and --crash is an option of its own.
ON_CRASH, LOGS_SEGMENTS = 0x2, 0x8
KEXEC_FLAGS = MappingProxyType({NO_INITRAMFS: 0x4, "no-cma": 0x10, "force-dtb": 0x20})


def flag_words(text: str) -> tuple[str, ...]:
    """The words of "no-cma,force-dtb", each once. Raises ValueError."""
    words = tuple(dict.fromkeys(text.split(",")))
    for word in words:
        if word not in KEXEC_FLAGS:
            known = ", ".join(KEXEC_FLAGS)
            raise ValueError(f"'{word[:40]}' is no flag of kexec_file_load; known: {known}")
    return words
