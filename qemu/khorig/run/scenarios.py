# SPDX-License-Identifier: BSD-3-Clause
"""The scenarios that a kernel has, read from its ELF without booting it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from khorig.vm.elf_file import ElfFile
from khorig.vm.errors import InfraError

# The linker script puts these around the records (kernel/handover/scenario.h).
_BEGIN = "__scenarios_begin"
_END = "__scenarios_end"
_RECORD = struct.Struct("<QQB")


@dataclass(frozen=True)
class ScenarioInfo:
    """A scenario by what its record in the kernel says."""

    name: str
    summary: str
    expects_refusal: bool  # of the handover, which the host then has to damage


def read_scenarios(elf_path: Path) -> list[ScenarioInfo]:
    """All scenarios, by name. Each is an object between the two symbols: its name, its summary, a
    flag, and what only the kernel reads. Raises InfraError when the list is empty or cannot be
    read: a list that lost its scenarios must not look like one that has none."""
    try:
        scenarios = _read(ElfFile(elf_path))
    except (ValueError, OSError) as error:
        raise InfraError(f"the scenarios of {elf_path} cannot be read: {error}") from error
    if not scenarios:
        raise InfraError(f"{elf_path} has no scenarios")
    return sorted(scenarios, key=lambda scenario: scenario.name)


def _read(elf: ElfFile) -> list[ScenarioInfo]:
    scenarios = []
    for address in elf.objects(elf.symbol(_BEGIN), elf.symbol(_END)):
        name, summary, refusal = _RECORD.unpack(elf.bytes_at(address, _RECORD.size))
        if refusal > 1:
            raise ValueError(f"no scenario at {address:#x}")
        info = ScenarioInfo(elf.text_at(name), elf.text_at(summary), refusal == 1)
        scenarios.append(info)
    return scenarios
