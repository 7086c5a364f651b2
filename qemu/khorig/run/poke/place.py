# SPDX-License-Identifier: BSD-3-Clause
"""Memory with a name."""

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
    """A page of an owner, or what of a page is its: a hand-off is a few words."""

    owner: str  # with its place among the owner's pages: "khorig/stores/db0 page 4"
    begin: int  # physical
    size: int  # bytes, within one page


def find_place(places: Sequence[Place], owner: str, offset: int) -> int | None:
    """The address `offset` bytes into the memory of an owner, whose name is that of all of it, of
    one block or of one page; None when there is no such owner or it ends before that."""
    for place in _places_of(places, owner):
        if offset < place.size:
            return place.begin + offset
        offset -= place.size
    return None


def offset_of(places: Sequence[Place], owner: str, place: Place) -> int:
    """Where a place begins in the memory of an owner whose it is, so that `find_place` finds it."""
    offset = 0
    for one in _places_of(places, owner):
        if one == place:
            return offset
        offset += one.size
    raise ValueError(f"{place} is not {owner}'s")


def without_number(owner: str) -> str:
    """The name of all blocks of an owner for that of one of their pages: "kho_test folio"."""
    return _BLOCK.sub("", owner)


def owner_at(places: Sequence[Place], address: int) -> str:
    """Whose an address is; "" when nobody's."""
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
