# SPDX-License-Identifier: BSD-3-Clause
"""Owned pieces of memory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Sequence

_NUMBER = re.compile(r"\d+")
# What follows the name of an owner in the name of one of its pages: "block" has "block 17 (order 3)
# page 5", "fragment" has "fragment /khorig/stores".
_BLOCK = re.compile(r" \d+ \(order \d+\) page \d+$")
_PART = re.compile(r"( /\S*)?( \d+)?( \(order \d+\))?( page \d+)?")


@dataclass(frozen=True)
class Place:
    """An owner's page, or its part of a page, e.g. the hand-off words in the boot parameters."""

    owner: str  # with the page number: "khorig/stores/db0 page 4"
    begin: int  # physical
    size: int  # bytes, within one page


def find_place(places: Sequence[Place], owner: str, offset: int) -> int | None:
    """The address at `offset` bytes in the memory of an owner, block or page named `owner`; None if
    there is no such owner or its memory is smaller."""
    for place in _places_of(places, owner):
        if offset < place.size:
            return place.begin + offset
        offset -= place.size
    return None


def offset_of(places: Sequence[Place], owner: str, place: Place) -> int:
    """Offset of a place in its owner's memory; the inverse of `find_place`."""
    offset = 0
    for one in _places_of(places, owner):
        if one == place:
            return offset
        offset += one.size
    raise ValueError(f"{place} is not owned by {owner}")


def without_number(owner: str) -> str:
    """The owner without block and page number: "kho_test folio"."""
    return _BLOCK.sub("", owner)


def owner_at(places: Sequence[Place], address: int) -> str:
    """Owner of an address; "" if none."""
    return next((p.owner for p in places if p.begin <= address < p.begin + p.size), "")


def _places_of(places: Sequence[Place], owner: str) -> list[Place]:
    exact = [place for place in places if place.owner == owner]
    if exact:
        return exact
    parts: list[tuple[list[int], Place]] = []
    for place in places:
        rest = place.owner[len(owner) :]
        if place.owner.startswith(owner) and _PART.fullmatch(rest):
            parts.append(([int(number) for number in _NUMBER.findall(rest)], place))
    return [place for _, place in sorted(parts, key=lambda part: part[0])]
