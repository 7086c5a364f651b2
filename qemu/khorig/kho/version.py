# SPDX-License-Identifier: BSD-3-Clause
"""Versions that name what they are made of: "kho-v4;radix-v1;vmalloc-v1".

Of the RFC "kho: decouple ... compatibility from global KHO version" (June 2026, include/linux/kho/
abi/compat.h): a version of its own for each structure that others are built on, behind the name of
what is built, in alphabetical order. The layouts are those of Linux 7.2. A receiver compares the
whole string.
"""

from __future__ import annotations

from dataclasses import dataclass

_SEPARATOR = ";"
COMPONENTS = ("block-v1", "radix-v1", "vmalloc-v1")  # whose layout is what khorig reads
ALIGNMENT = 8  # bytes: a field with a composite version grows in steps of this


@dataclass(frozen=True)
class Version:
    """A version, taken apart."""

    text: str
    base: str  # "kho-v4"
    components: tuple[str, ...]  # "radix-v1", as they are written

    @staticmethod
    def of(text: str) -> Version:
        """Takes any string apart."""
        base, *components = text.split(_SEPARATOR)
        return Version(text, base, tuple(components))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Components whose layout is not known."""
        return tuple(name for name in self.components if name not in COMPONENTS)

    @property
    def is_ordered(self) -> bool:
        """Whether each component is there once, in alphabetical order."""
        return list(self.components) == sorted(set(self.components))

    @property
    def is_readable(self) -> bool:
        """Whether all that it is made of is known."""
        return not self.unknown

    def __str__(self) -> str:
        return self.text
