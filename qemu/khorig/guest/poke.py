# SPDX-License-Identifier: BSD-3-Clause
"""A requested change of guest memory."""

from __future__ import annotations

import re
from dataclasses import dataclass

_POKE = re.compile(r"(?P<generation>\d+):(?P<stop>[^:]*):(?P<place>.+)")
_OFFSET = re.compile(r"(?P<place>.+)\+(?P<offset>0x[0-9a-fA-F]+|\d+)")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
FORM = "GENERATION:STOP:ADDRESS|OWNER[+OFFSET]"


@dataclass(frozen=True)
class Poke:
    """Flips one bit of one byte at a stop, after the host has checked memory."""

    generation: int
    stop: str
    place: str | int  # an owner as in `inspect --owners`, or a physical address
    offset: int = 0  # bytes from there

    def __str__(self) -> str:
        """In the syntax of `parse_poke`."""
        place = self.place if isinstance(self.place, str) else f"{self.place:#x}"
        offset = f"+{self.offset:#x}" if self.offset else ""
        return f"{self.generation}:{self.stop}:{place}{offset}"

    @property
    def slug(self) -> str:
        """For a folder name."""
        return re.sub(r"[^\w.+-]+", "_", str(self))


def parse_poke(text: str) -> Poke | None:
    """From "2:sealed:khorig/stores/db0+0x10" or "1:sealed:0x8000000"; None if invalid. Names
    of stop and owner are not checked."""
    match = _POKE.fullmatch(text)
    if match is None or not match["stop"]:
        return None
    place, offset = match["place"], 0
    if with_offset := _OFFSET.fullmatch(place):
        place, offset = with_offset["place"], int(with_offset["offset"], 0)
    if _ADDRESS.fullmatch(place):
        return Poke(int(match["generation"]), match["stop"], int(place, 16), offset)
    return Poke(int(match["generation"]), match["stop"], place, offset)
