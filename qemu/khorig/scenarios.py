# SPDX-License-Identifier: BSD-3-Clause
"""The scenarios that a kernel has, read from its ELF without booting it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from khorig.errors import InfraError

# The linker script puts these around the records (kernel/rig/scenario.h).
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
    symbols = elf.get_section_by_name(".symtab")
    if symbols is None:
        raise ValueError("no symbols")
    begin, end = (_address(symbols, name) for name in (_BEGIN, _END))
    scenarios = []
    for symbol in symbols.iter_symbols():
        address = symbol["st_value"]
        if begin <= address < end and symbol["st_info"]["type"] == "STT_OBJECT":
            name, summary, refusal = _RECORD.unpack(_bytes(elf, address)[: _RECORD.size])
            if refusal > 1:
                raise ValueError(f"no scenario at {address:#x}")
            info = ScenarioInfo(_string(elf, name), _string(elf, summary), refusal == 1)
            scenarios.append(info)
    return scenarios


def _address(symbols: Any, name: str) -> int:
    found = symbols.get_symbol_by_name(name)
    if not found:
        raise ValueError(f"no symbol {name}")
    return int(found[0]["st_value"])


def _bytes(elf: Any, address: int) -> bytes:
    """What follows an address in the file."""
    for segment in elf.iter_segments():
        offset = address - segment["p_vaddr"]
        if segment["p_type"] == "PT_LOAD" and 0 <= offset < segment["p_filesz"]:
            data: bytes = segment.data()
            return data[offset:]
    raise ValueError(f"nothing at {address:#x}")


def _string(elf: Any, address: int) -> str:
    data = _bytes(elf, address)
    return data[: data.index(b"\0")].decode("utf-8")
