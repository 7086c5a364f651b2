# SPDX-License-Identifier: BSD-3-Clause
"""Reads a list of records from a kernel's ELF without booting it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Callable, Protocol, TypeVar

from khorig.vm.elf_file import ElfFile
from khorig.vm.errors import InfraError


class _Named(Protocol):
    @property
    def name(self) -> str:
        ...


Item = TypeVar("Item", bound=_Named)


def read_list(
    elf_path: Path,
    what: str,
    record: struct.Struct,
    parse: Callable[[ElfFile, tuple[Any, ...]], Item],
) -> list[Item]:
    """All objects between the linker script's `__<what>_begin` and `__<what>_end`, by name. `parse`
    gets the fields of `record`, with which each begins, and may raise ValueError. Raises InfraError
    if the list is empty or unreadable."""
    try:
        elf = ElfFile(elf_path)
        begin, end = (elf.symbol(f"__{what}_{bound}") for bound in ("begin", "end"))
        items = [
            parse(elf, record.unpack(elf.bytes_at(address, record.size)))
            for address in elf.objects(begin, end)
        ]
    except (OSError, ValueError) as error:
        raise InfraError(f"cannot read the {what} of {elf_path}: {error}") from error
    if not items:
        raise InfraError(f"{elf_path} has no {what}")
    return sorted(items, key=lambda item: item.name)
