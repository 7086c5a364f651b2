# SPDX-License-Identifier: BSD-3-Clause
"""The scenarios that a kernel has, read from its ELF without booting it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from khorig.errors import InfraError

_SECTION = ".khorig.scenarios"  # kernel/core/scenario.h


@dataclass(frozen=True)
class ScenarioInfo:
    """A scenario by what its record in the kernel says."""

    name: str
    summary: str


def read_scenarios(elf_path: Path) -> list[ScenarioInfo]:
    """All scenarios, by name. Each is an object in the section, and its first two words point to
    its name and its summary. Raises InfraError when the list is empty or cannot be read: a list that
    lost its scenarios must not look like one that has none."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with elf_path.open("rb") as stream:
            scenarios = _read(ELFFile(stream))
    except (ELFError, struct.error, ValueError, OSError) as error:
        raise InfraError(f"the scenarios of {elf_path} cannot be read: {error}") from error
    if not scenarios:
        raise InfraError(f"{elf_path} has no scenarios")
    return sorted(scenarios, key=lambda scenario: scenario.name)


def _read(elf: Any) -> list[ScenarioInfo]:
    index = elf.get_section_index(_SECTION)
    symbols = elf.get_section_by_name(".symtab")
    if index is None or symbols is None:
        raise ValueError(f"no section {_SECTION}" if index is None else "no symbols")
    section = elf.get_section(index)
    scenarios = []
    for symbol in symbols.iter_symbols():
        if symbol["st_shndx"] != index or symbol["st_info"]["type"] != "STT_OBJECT":
            continue
        record = section.data()[symbol["st_value"] - section["sh_addr"] :]
        name, summary = struct.unpack_from("<QQ", record)
        scenarios.append(ScenarioInfo(_string(elf, name), _string(elf, summary)))
    return scenarios


def _string(elf: Any, address: int) -> str:
    for segment in elf.iter_segments():
        offset = address - segment["p_vaddr"]
        if segment["p_type"] == "PT_LOAD" and 0 <= offset < segment["p_filesz"]:
            data: bytes = segment.data()
            return data[offset : data.index(b"\0", offset)].decode("utf-8")
    raise ValueError(f"no string at {address:#x}")
