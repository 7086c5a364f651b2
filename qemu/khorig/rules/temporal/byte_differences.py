# SPDX-License-Identifier: BSD-3-Clause
"""Describes the changed bytes of a page."""

from __future__ import annotations

import numpy as np
import xxhash

from khorig.kho.radix import Uint64Array

_LINES = 4  # differing words shown
_WORD = 8  # bytes
# Difference between adjacent words of a page filled from the seed (docs/abi.md).
_STEP = np.uint64(0x9E3779B97F4A7C15)


def describe_change(address: int, before: bytes | None, now: bytes, digest: int) -> tuple[str, ...]:
    """Lines about the changed page at `address`, whose XXH64 was `digest`. Without a copy from
    before, the expected content is derived from the content formula of docs/abi.md and the majority
    of the words. It is claimed only if it has that hash: a page may have words of its own."""
    found = np.frombuffer(now, dtype="<u8")
    if before is not None:
        expected: Uint64Array = np.frombuffer(before, dtype="<u8")
        source = "earlier copy"
    else:
        by_formula = _formula(found)
        if by_formula is None:
            return (_summary(found),)
        if (by_formula == found).all():
            return ("all words match the content formula: content of another page",)
        if xxhash.xxh64_intdigest(by_formula.tobytes()) != digest:
            return (_summary(found),)
        expected, source = by_formula, "content formula"
    return _compare(address, expected, found, source)


def _compare(
    address: int, expected: Uint64Array, found: Uint64Array, source: str
) -> tuple[str, ...]:
    changed = np.flatnonzero(expected != found)
    lines = [
        f"{address + int(i) * _WORD:#018x}: found {int(found[i]):#018x}, "
        f"expected {int(expected[i]):#018x} ({source})"
        for i in changed[:_LINES]
    ]
    if len(changed) > 1:
        span = int(changed[-1] - changed[0] + 1) * _WORD
        summary = _summary(found[changed])
        lines.append(f"{len(changed)} words differ within {span} bytes: {summary}")
    return tuple(lines)


def _formula(found: Uint64Array) -> Uint64Array | None:
    """Expected page content if most words are intact, else None."""
    steps = np.arange(len(found), dtype=np.uint64) * _STEP
    bases, counts = np.unique(found - steps, return_counts=True)
    best = int(np.argmax(counts))
    if counts[best] * 2 <= len(found):
        return None
    expected: Uint64Array = bases[best] + steps
    return expected


def _summary(words: Uint64Array) -> str:
    if not words.any():
        return "now all zero"
    if len(words) > 1 and (words == words[0]).all():
        return f"now all {int(words[0]):#018x}"
    return "now starting with " + " ".join(f"{int(w):016x}" for w in words[:4])
