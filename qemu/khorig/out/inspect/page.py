# SPDX-License-Identifier: BSD-3-Clause
"""One page as text and as JSON."""

from __future__ import annotations

from typing import Any, Iterator, Sequence

import numpy as np

from khorig.kho.radix import Uint64Array
from khorig.kho.snapshot import Snapshot
from khorig.mem.untrusted import printable
from khorig.out.inspect.meaning import meaning_lines
from khorig.out.inspect.summary import labelled
from khorig.out.text import rule_label, size
from khorig.rules.finding import Finding
from khorig.rules.page_view import Expected, PageView

_LINE = 16  # bytes of a hexdump's line
_LINES = 16  # of a hexdump
_WORD = 8
_WORDS = 4  # that differ, shown in full


def page_lines(
    view: PageView, snapshot: Snapshot | None, seed: int | None, findings: Sequence[Finding]
) -> Iterator[str]:
    """Output of `khorig inspect --page`. `findings` are those of the run that wrote the image."""
    place = [f"{view.address:#018x}, {size(view.size)}, in RAM {view.ram}"]
    if view.asked != view.address:
        place.append(f"{view.asked:#018x} is byte {view.asked - view.address:#x} of it")
    yield from labelled("page", place)
    yield from labelled("use", [view.kind.value, *_places(view)])
    yield from labelled("owner", [view.owner or "none"])
    if snapshot is not None and (lines := meaning_lines(snapshot, view.address)):
        yield from labelled("meaning", lines)
    if rules := _rules(view, findings):
        yield from labelled("rules", rules)
    if view.data is None:
        yield from labelled("content", [f"not in this dump: {view.missing}"])
        return
    yield from labelled("content", [_summary(view.data)])
    for expected in view.expected:
        yield from labelled("expected", _comparison(view, view.data, expected, seed))
    different = [e for e in view.expected if e.data != view.data]
    yield from _dump(view.address, view.data, different[0] if different else None)


def _places(view: PageView) -> Iterator[str]:
    if view.block is not None:
        address, order, number = view.block
        yield f"page {number} of the preserved block {address:#018x} of order {order}"
    if view.scratch is not None:
        yield f"in scratch {view.scratch}"
    if view.allocator is not None:
        yield f"to khorig's allocator: {view.allocator}"


def _rules(view: PageView, findings: Sequence[Finding]) -> list[str]:
    lines = [
        f"{broken.status.value} {rule_label(broken.rule)}: {broken.address:#018x} {broken.text}"
        for broken in view.broken
    ]
    lines += [
        f"run's verdict, generation {finding.generation} at {finding.stop or 'its end'}: "
        f"{rule_label(finding.rule)}"
        for finding in findings_at(view, findings)
    ]
    return [printable(line) for line in lines]


def findings_at(view: PageView, findings: Sequence[Finding]) -> list[Finding]:
    """Those that name a byte of the page."""
    found = []
    for finding in findings:
        try:
            address = int(finding.where, 16)
        except ValueError:
            continue
        if view.address <= address < view.address + view.size:
            found.append(finding)
    return found


def _summary(data: bytes) -> str:
    if not any(data):
        return "all zero"
    if data.count(data[0]) == len(data):
        return f"all {data[0]:#04x}"
    words = _words(data)
    if (words == words[0]).all():
        return f"all {int(words[0]):#018x}"
    return (
        f"{int(np.count_nonzero(np.frombuffer(data, np.uint8)))} of {len(data)} bytes are not zero"
    )


def _words(data: bytes) -> Uint64Array:
    words: Uint64Array = np.frombuffer(data, dtype="<u8")
    return words


def _differing(found: bytes, expected: bytes) -> tuple[int, int]:
    """How many bytes differ, and the offset of the first."""
    unequal = np.flatnonzero(np.frombuffer(found, np.uint8) != np.frombuffer(expected, np.uint8))
    return len(unequal), int(unequal[0]) if len(unequal) else 0


def _comparison(view: PageView, data: bytes, expected: Expected, seed: int | None) -> list[str]:
    known = f", seed {seed:#x}" if seed is not None and "formula" in expected.source else ""
    source = f"{expected.source}{known}"
    if expected.owner != view.owner:
        source += f", where it belongs to: {expected.owner or 'nobody'}"
    count, first = _differing(data, expected.data)
    if not count:
        return [f"as {source}: no byte differs"]
    lines = [
        f"as {source}: {count} of {len(data)} bytes differ, "
        f"the first at {view.address + first:#018x}"
    ]
    found, wanted = _words(data), _words(expected.data)
    changed = np.flatnonzero(found != wanted)
    lines += [
        f"{view.address + at * _WORD:#018x}: found {int(found[at]):#018x}, "
        f"expected {int(wanted[at]):#018x}"
        for at in changed[:_WORDS].tolist()
    ]
    if len(changed) > _WORDS:
        last = view.address + int(changed[-1]) * _WORD
        lines.append(f"and {len(changed) - _WORDS} more words, the last at {last:#018x}")
    return lines


def _dump(address: int, data: bytes, expected: Expected | None) -> Iterator[str]:
    """A hexdump: from the page's begin, or of the lines that differ with the expected bytes below,
    of which those that are the same are two dots."""
    starts = range(0, len(data), _LINE)
    if expected is not None:
        wanted = expected.data
        starts_shown = [at for at in starts if data[at : at + _LINE] != wanted[at : at + _LINE]]
    else:
        starts_shown = list(starts)
    last: bytes | None = None
    shown, skipped = 0, False
    for at in starts_shown:
        line = data[at : at + _LINE]
        if expected is None and line == last:
            if not skipped:
                yield "*"
            skipped = True
            continue
        if shown == _LINES:
            left = len(starts_shown) - starts_shown.index(at)
            yield f"... {left * _LINE} more bytes{' in lines that differ' if expected else ''}"
            return
        last, skipped, shown = line, False, shown + 1
        if expected is None:
            yield f"{address + at:#018x}  {_columns([f'{b:02x}' for b in line])}  |{_text(line)}|"
            continue
        other = expected.data[at : at + _LINE]
        there = [f"{y:02x}" if x != y else ".." for x, y in zip(line, other)]
        here = _columns([f"{byte:02x}" for byte in line])
        yield f"{address + at:#018x}  found     {here}  |{_text(line)}|"
        yield f"{'':18}  expected  {_columns(there)}  |{_text(other)}|"


def _columns(words: list[str]) -> str:
    return " ".join(words[:8]) + "  " + " ".join(words[8:])


def _text(data: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)


def page_document(
    view: PageView, snapshot: Snapshot | None, findings: Sequence[Finding]
) -> dict[str, Any]:
    """The same for `--json`. Addresses and words are hexadecimal strings, as in docs/abi.md."""
    return {
        "schema": 1,
        "asked": _hex(view.asked),
        "address": _hex(view.address),
        "size": view.size,
        "use": view.kind.value,
        "owner": view.owner or None,
        "block": (
            {"address": _hex(view.block[0]), "order": view.block[1], "page": view.block[2]}
            if view.block
            else None
        ),
        "scratch": [_hex(view.scratch.begin), _hex(view.scratch.size)] if view.scratch else None,
        "allocator": str(view.allocator) if view.allocator else None,
        "meaning": meaning_lines(snapshot, view.address) if snapshot else [],
        "rules": [
            {
                "rule": broken.rule,
                "status": broken.status.value,
                "address": _hex(broken.address),
                "text": broken.text,
            }
            for broken in view.broken
        ],
        "findings": [
            {
                "rule": finding.rule,
                "generation": finding.generation,
                "stop": finding.stop,
                "what": finding.what,
            }
            for finding in findings_at(view, findings)
        ],
        "content": view.data.hex() if view.data is not None else None,
        "missing": view.missing or None,
        "expected": [_expected(view, expected) for expected in view.expected],
    }


def _expected(view: PageView, expected: Expected) -> dict[str, Any]:
    if view.data is None:
        return {"source": expected.source, "owner": expected.owner, "content": expected.data.hex()}
    count, first = _differing(view.data, expected.data)
    found, wanted = _words(view.data), _words(expected.data)
    changed = np.flatnonzero(found != wanted)[:_WORDS].tolist()
    return {
        "source": expected.source,
        "owner": expected.owner,
        "differing_bytes": count,
        "first": _hex(view.address + first) if count else None,
        "words": [
            {
                "address": _hex(view.address + at * _WORD),
                "found": f"{int(found[at]):#018x}",
                "expected": f"{int(wanted[at]):#018x}",
            }
            for at in changed
        ],
        "content": expected.data.hex(),
    }


def _hex(number: int) -> str:
    return f"{number:#x}"
