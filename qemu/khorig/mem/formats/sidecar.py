# SPDX-License-Identifier: BSD-3-Clause
"""The description that a run writes beside an image of guest RAM (khorig/vm/ram_image.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

from khorig.mem.formats.dump import PAGE_SHIFTS, RunFacts
from khorig.mem.formats.errors import UnreadableDump
from khorig.mem.guest_ram import RamRegion
from khorig.mem.memory import PhysRange
from khorig.mem.untrusted import Untrusted, read_object, shown, text

_SUFFIXES = (".ram.zst", ".ram")
_LARGEST = 64 << 20  # bytes; an image of a guest in many pieces lists all of them


@dataclass(frozen=True)
class Sidecar:
    """What was described."""

    arch: str
    machine: str
    size: int  # bytes of the image
    regions: Sequence[RamRegion]
    page_shift: int | None  # None in what an earlier version wrote
    run: RunFacts


def sidecar_path(path: Path) -> Path | None:
    """Where the description of an image lies, or None when there is none."""
    for suffix in _SUFFIXES:
        if path.name.endswith(suffix):
            found = path.with_name(path.name[: -len(suffix)] + ".json")
            return found if found.is_file() else None
    return None


def read_sidecar(path: Path) -> Sidecar:
    """Raises UnreadableDump when it says something else than an image of RAM needs."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"larger than {_LARGEST} bytes")
        return _sidecar(read_object(path.read_bytes(), _LARGEST))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"not a description of a RAM image: {type(error).__name__}: {error}"
        raise UnreadableDump(path, why) from error


def _number(value: Any) -> int:
    found = value if type(value) is int else int(text(value), 0)
    if not 0 <= found < 1 << 64:
        raise Untrusted(f"{shown(value)} is not an address or size")
    return found


def _optional(value: Any) -> int | None:
    return _number(value) if value else None


def _page_shift(value: Any) -> int | None:
    if value is not None and (type(value) is not int or value not in PAGE_SHIFTS):
        raise ValueError(f"page_shift is {value!r}, not one of {PAGE_SHIFTS}")
    return value


def _sidecar(record: dict[str, Any]) -> Sidecar:
    frames = record.get("frames")
    run = RunFacts(
        generation=_number(record["generation"]),
        at=str(record["at"]),
        root=_optional(record["root"]),
        parameters=_optional(record.get("parameters")),
        scratch=tuple(
            PhysRange(_number(begin), _number(size)) for begin, size in record.get("scratch") or ()
        ),
        frame_table=(
            (_number(frames["table"]), _number(frames["first"]), _number(frames["count"]))
            if frames
            else None
        ),
    )
    regions = [RamRegion(*(_number(n) for n in entry)) for entry in record["ram_map"]]
    size = _number(record["size"])
    shift = _page_shift(record.get("page_shift"))
    return Sidecar(str(record["arch"]), str(record["machine"]), size, regions, shift, run)
