# SPDX-License-Identifier: BSD-3-Clause
"""Linux's own symbol table (scripts/kallsyms.c, Linux 6.1 to 7.3) in the memory of a machine."""

from __future__ import annotations

import bisect
import itertools
import re
import struct
from dataclasses import dataclass
from typing import Any, Callable, Sequence

import numpy as np

from khorig.mem.errors import Error
from khorig.mem.guest_ram import GuestRam, OutsideGuestRam

_WINDOW = 64 << 20  # bytes before and behind the text in which an image's tables are looked for
_TRIES = 32  # places that look like a table of tokens
_MOST_PLACES = 4096  # of one run of memory
_MOST_SYMBOLS = 1 << 20
_LONGEST_SYMBOL = 1024  # bytes of a compressed name and its length
_LONGEST_NAME = 512
_LARGEST_FUNCTION = 1 << 20  # bytes; what lies further behind the last one is no text
_GROUP = 256  # symbols per marker
_MOST_MARKERS = _MOST_SYMBOLS // _GROUP
_TABLES = 48 << 20  # bytes of all tables
# A token that is a character in use stands for itself.
_DIGITS = re.compile(b"".join(b"%d\\x00" % digit for digit in range(10)))
_TEXT = b"tTwW"


class NoKallsyms(Error):
    """There is no table that can be used; the message says why."""


@dataclass(frozen=True)
class _Tables:
    """What was found, at indices of one run of bytes."""

    tokens: Sequence[bytes]
    names: int  # index of the first name
    count: int
    after: int  # index behind the index of tokens


class Kallsyms:
    """Addresses and names of functions, sorted by address."""

    def __init__(self, addresses: Sequence[int], names: Sequence[str]) -> None:
        self._addresses = addresses
        self._names = names

    def __len__(self) -> int:
        return len(self._addresses)

    def find(self, pc: int) -> tuple[str, int] | None:
        """Name and offset of the function at an address, None outside of the kernel's text."""
        index = bisect.bisect_right(self._addresses, pc) - 1
        if index < 0 or pc - self._addresses[index] >= _LARGEST_FUNCTION:
            return None
        return self._names[index], pc - self._addresses[index]

    def address(self, name: str) -> int | None:
        """The address of a function."""
        return self._addresses[self._names.index(name)] if name in self._names else None


def find_kallsyms(
    ram: GuestRam, pc: int, at: int, physical: Callable[[int], int | None]
) -> Kallsyms:
    """The table of the Linux that runs text at virtual address `pc`, physical `at`: the image is
    contiguous in both. `physical` translates virtual addresses. Raises NoKallsyms."""
    why = f"no table of tokens within {_WINDOW >> 20} MiB of the text at {at:#018x}"
    for place in _places(ram, at):
        begin, data = _bytes_around(ram, place)
        if physical(pc + place - at) != place:
            why = f"the table of tokens at {place:#018x} is not of the kernel that runs"
            continue
        try:
            return _read(data, place - begin, begin + pc - at)
        except (NoKallsyms, struct.error, IndexError) as error:
            why = f"table of symbols at {place:#018x}: {error}"
    raise NoKallsyms(why)


def _places(ram: GuestRam, at: int) -> list[int]:
    """Physical addresses of digits in a row, the nearest to `at` first."""
    found: list[int] = []
    for begin, size in ram.extents():
        low, high = max(begin, at - _WINDOW), min(begin + size, at + _WINDOW)
        if low >= high:
            continue
        with ram.view(low, high - low) as view:
            matches = itertools.islice(_DIGITS.finditer(view), _MOST_PLACES)
            found += [low + match.start() for match in matches]
            del matches  # holds the view
    return sorted(found, key=lambda place: abs(place - at))[:_TRIES]


def _bytes_around(ram: GuestRam, place: int) -> tuple[int, bytes]:
    """A copy of what the tables around a place may take."""
    for region in ram.regions:
        if region.gpa <= place < region.end:
            begin = max(region.gpa, place - _TABLES // 2) & ~7
            end = min(region.end, place + _TABLES // 2)
            return begin, ram.read(begin, end - begin)
    raise OutsideGuestRam(place, 1)


def _read(data: bytes, digits: int, base: int) -> Kallsyms:
    """`digits`: index of the token "0"; `base`: virtual address of the first byte."""
    tables = _find_tables(data, digits)
    names = list(_names(data, tables))
    addresses = _addresses(data, tables, base)
    functions = sorted(
        (address, name[1:])
        for address, name in zip(addresses, names)
        if name[:1].encode("utf-8", "replace") in _TEXT and len(name) > 1
    )
    if not functions:
        raise NoKallsyms("no function in it")
    return Kallsyms([address for address, _ in functions], [name for _, name in functions])


def _find_tables(data: bytes, digits: int) -> _Tables:
    begin, index_at, tokens = _find_tokens(data, digits)
    # Before the tokens lie the markers, in Linux 6.2 and 6.3 the order of names before them.
    markers = _find_markers(data, begin)
    first, count = _find_names(data, begin - 4 * len(markers) - _padding(data, begin), markers)
    return _Tables(tokens, first, count, index_at + 512)


def _find_tokens(data: bytes, digits: int) -> tuple[int, int, list[bytes]]:
    """Where the tokens begin and where their index does, and the tokens."""
    for at in range((digits + 20) & ~3, min(digits + 16384, len(data) - 512), 4):
        if data[at : at + 2] != b"\0\0" or data[at + 2 : at + 4] == b"\0\0":
            continue
        index = struct.unpack_from("<256H", data, at)
        begin = digits - index[ord("0")]
        if begin < 0 or begin + index[255] >= at or list(index) != sorted(set(index)):
            continue
        ends = [*(start - 1 for start in index[1:]), data.find(b"\0", begin + index[255]) - begin]
        if any(data[begin + end] for end in ends):
            continue
        return begin, at, [data[begin + s : begin + e] for s, e in zip(index, ends)]
    raise NoKallsyms("no index of tokens")


def _padding(data: bytes, end: int) -> int:
    """Zero bytes that align what comes next to 8, if there are 4."""
    return 4 if data[end - 4 : end] == b"\0\0\0\0" else 0


def _find_markers(data: bytes, end: int) -> list[int]:
    """Offsets of every 256th name, up to an index."""
    at = end - _padding(data, end) - 4
    found: list[int] = []
    while at >= 0 and len(found) < _MOST_MARKERS:
        (value,) = struct.unpack_from("<I", data, at)
        if found and value >= found[-1]:
            break
        found.append(value)
        if value == 0:
            return found[::-1]
        at -= 4
    raise NoKallsyms("no markers before the tokens")


def _find_names(data: bytes, end: int, markers: Sequence[int]) -> tuple[int, int]:
    """The index of the first name, and how many there are. The count lies before them."""
    last = end - markers[-1]
    for first in range(last & ~3, max(4, last - _GROUP * _LONGEST_SYMBOL), -4):
        for gap in (4, 8):
            if first < gap:
                continue
            (count,) = struct.unpack_from("<I", data, first - gap)
            if -(-count // _GROUP) == len(markers) and _fit(data, first, count, markers, end):
                return first, count
    raise NoKallsyms("no count of names before them")


def _fit(data: bytes, first: int, count: int, markers: Sequence[int], end: int) -> bool:
    """Whether names from an index on are where the markers say."""
    at = first
    for number in range(count):
        if number % _GROUP == 0 and at - first != markers[number // _GROUP]:
            return False
        size, at = _length(data, at)
        at += size
        if size == 0 or at > end:
            return False
    return end - at < 8 and not any(data[at:end])


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Bytes of a compressed name, and where it begins."""
    size = data[at]
    if size & 0x80:
        return size & 0x7F | data[at + 1] << 7, at + 2
    return size, at + 1


def _names(data: bytes, tables: _Tables) -> list[str]:
    """All names, each after the letter of its type."""
    found = []
    at = tables.names
    for _ in range(tables.count):
        size, at = _length(data, at)
        name = b"".join(tables.tokens[byte] for byte in data[at : at + size])
        found.append(name[:_LONGEST_NAME].decode("utf-8", "replace"))
        at += size
    return found


def _addresses(data: bytes, tables: _Tables, base: int) -> list[int]:
    """Addresses of all symbols, in one of three forms: relative to the place of each offset (since
    7.x), relative to a base behind the offsets (since 6.4) or behind them, before the names."""
    behind = (tables.after + 3) & ~3
    for at in (behind, (behind + 7) & ~7):
        offsets = np.frombuffer(data, "<i4", tables.count, at).astype(np.int64)
        places = offsets + np.arange(tables.count, dtype=np.int64) * 4
        # Symbols are sorted: relative to their places they ascend no less.
        if np.all(np.diff(places) >= 0):
            return [(base + at + int(place)) & _ALL for place in places]
        after = (at + 4 * tables.count + 7) & ~7
        if (found := _with_base(data, offsets, after)) is not None:
            return found
    for gap in (4, 8):
        after = (tables.names - gap) & ~7
        at = after - 8 - 4 * tables.count
        for begin in (at, at - 4):
            if begin >= 0:
                offsets = np.frombuffer(data, "<i4", tables.count, begin).astype(np.int64)
                if (found := _with_base(data, offsets, after - 8)) is not None:
                    return found
    raise NoKallsyms("no addresses beside the names")


_ALL = (1 << 64) - 1


def _with_base(data: bytes, offsets: np.ndarray[Any, Any], after: int) -> list[int] | None:
    (base,) = struct.unpack_from("<Q", data, after)
    if base >> 47 == 0:  # no address of a kernel
        return None
    unsigned = offsets & 0xFFFFFFFF
    if np.all(np.diff(unsigned) >= 0):
        return [(base + int(offset)) & _ALL for offset in unsigned]
    # Symbols of a CPU's own data as they are, the rest below 0 (x86_64 until 6.14).
    values = [int(o) if o >= 0 else (base - 1 - int(o)) & _ALL for o in offsets]
    return values if values == sorted(values) else None
