# SPDX-License-Identifier: BSD-3-Clause
"""What is different in a page, in words for people."""

from __future__ import annotations

import numpy as np

from khorig.kho.radix import Uint64Array

_LINES = 4  # of differences shown
_WORD = 8  # bytes
# Words of a page with content from the seed follow each other at this distance (docs/abi.md).
_STEP = np.uint64(0x9E3779B97F4A7C15)


def describe_change(address: int, before: bytes | None, now: bytes) -> tuple[str, ...]:
    """Lines about the page at `address`. Without a copy from before, the content formula of
    docs/abi.md is tried: most words of a page tell what the others should be."""
    found = np.frombuffer(now, dtype="<u8")
    if before is not None:
        expected: Uint64Array = np.frombuffer(before, dtype="<u8")
        source = "before"
    else:
        by_formula = _formula(found)
        if by_formula is None:
            return (_summary(found),)
        expected, source = by_formula, "by the content formula"
    return _compare(address, expected, found, source)


def _compare(
    address: int, expected: Uint64Array, found: Uint64Array, source: str
) -> tuple[str, ...]:
    changed = np.flatnonzero(expected != found)
    if not len(changed):
        return ("all words follow the content formula: it is the content of another page",)
    lines = [
        f"{address + int(i) * _WORD:#018x}: {int(expected[i]):#018x} {source}, "
        f"{int(found[i]):#018x} now"
        for i in changed[:_LINES]
    ]
    if len(changed) > 1:
        span = int(changed[-1] - changed[0] + 1) * _WORD
        summary = _summary(found[changed])
        lines.append(f"{len(changed)} words differ, within {span} bytes; {summary}")
    return tuple(lines)


def _formula(found: Uint64Array) -> Uint64Array | None:
    """What the page would be if most of its words are right; None when they do not agree."""
    steps = np.arange(len(found), dtype=np.uint64) * _STEP
    bases, counts = np.unique(found - steps, return_counts=True)
    best = int(np.argmax(counts))
    if counts[best] * 2 <= len(found):
        return None
    expected: Uint64Array = bases[best] + steps
    return expected


def _summary(words: Uint64Array) -> str:
    if not words.any():
        return "they are all zero now"
    if len(words) > 1 and (words == words[0]).all():
        return f"they are all {int(words[0]):#018x} now"
    return "they start with " + " ".join(f"{int(w):016x}" for w in words[:4])
