# SPDX-License-Identifier: BSD-3-Clause
"""Reads the list of scenarios from a kernel's ELF without booting it."""

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
    """A scenario's record in the kernel."""

    name: str
    summary: str
    expects_refusal: bool  # the host must corrupt the handover


def read_scenarios(elf_path: Path) -> list[ScenarioInfo]:
    """All scenarios, by name. Each is an object between the two symbols: name, summary, a flag, and
    fields used by the kernel only. Raises InfraError if the list is empty or unreadable."""
    try:
        scenarios = _read(ElfFile(elf_path))
    except (ValueError, OSError) as error:
        raise InfraError(f"cannot read the scenarios of {elf_path}: {error}") from error
    if not scenarios:
        raise InfraError(f"{elf_path} has no scenarios")
    return sorted(scenarios, key=lambda scenario: scenario.name)


def _read(elf: ElfFile) -> list[ScenarioInfo]:
    scenarios = []
    for address in elf.objects(elf.symbol(_BEGIN), elf.symbol(_END)):
        name, summary, refusal = _RECORD.unpack(elf.bytes_at(address, _RECORD.size))
        if refusal > 1:
            raise ValueError(f"invalid scenario record at {address:#x}")
        info = ScenarioInfo(elf.text_at(name), elf.text_at(summary), refusal == 1)
        scenarios.append(info)
    return scenarios
