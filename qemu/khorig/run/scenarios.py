# SPDX-License-Identifier: BSD-3-Clause
"""Reads the list of scenarios from a kernel's ELF without booting it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from khorig.run.kernel_lists import read_list
from khorig.run.needs import Needs, parse_needs
from khorig.vm.build_outputs import find_elf
from khorig.vm.elf_file import ElfFile
from khorig.vm.errors import InfraError

_RECORD = struct.Struct("<QQB7xQ")  # kernel/handover/scenario.h


@dataclass(frozen=True)
class ScenarioInfo:
    """A scenario's record in the kernel."""

    name: str
    summary: str
    expects_refusal: bool  # the host must corrupt the handover
    needs: Needs = Needs()


def read_scenarios(elf_path: Path) -> list[ScenarioInfo]:
    """All scenarios, by name. Each is an object between the two symbols: name, summary, a flag,
    needs, and fields used by the kernel only. Raises InfraError if the list is empty or unreadable.
    """
    return read_list(elf_path, "scenarios", _RECORD, _scenario)


def needs_of(arch: str, scenario: str) -> Needs:
    """What it needs of its machine; nothing when the kernel of `arch` has no such scenario, or
    cannot be read, which the run itself reports."""
    try:
        known = {info.name: info.needs for info in read_scenarios(find_elf(arch))}
    except InfraError:
        return Needs()
    return known.get(scenario, Needs())


def _scenario(elf: ElfFile, record: tuple[int, ...]) -> ScenarioInfo:
    name, summary, refusal, needs = record
    if refusal > 1:
        raise ValueError(f"scenario record with the flag {refusal}")
    words = parse_needs(elf.text_at(needs)) if needs else Needs()
    return ScenarioInfo(elf.text_at(name), elf.text_at(summary), refusal == 1, words)
