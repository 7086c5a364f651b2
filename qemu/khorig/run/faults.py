# SPDX-License-Identifier: BSD-3-Clause
"""Reads the kernel's faults (kernel/rig/fault.h) from its ELF without booting it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping

from khorig.run.kernel_lists import read_list
from khorig.vm.build_outputs import find_elf
from khorig.vm.elf_file import ElfFile
from khorig.vm.machines import ARCHITECTURES

_RECORD = struct.Struct("<QQQI")


@dataclass(frozen=True)
class FaultInfo:
    """A fault's record in the kernel."""

    name: str
    summary: str
    bugs: tuple[str, ...]  # keys of khorig.rules.bugs.BUGS, and others of the same catalogue
    generation: int  # the one that has the defect


def read_faults(elf_path: Path) -> list[FaultInfo]:
    """All faults, by name. Raises InfraError if the list is empty or unreadable."""
    return read_list(elf_path, "faults", _RECORD, _fault)


def known_faults() -> Mapping[str, FaultInfo]:
    """The faults of all built kernels, by name. Raises InfraError if one is not built."""
    return {fault.name: fault for arch in ARCHITECTURES for fault in read_faults(find_elf(arch))}


def _fault(elf: ElfFile, record: tuple[int, ...]) -> FaultInfo:
    name, summary, bugs = (elf.text_at(pointer) for pointer in record[:3])
    return FaultInfo(name, summary, tuple(bugs.split()), record[3])
