# SPDX-License-Identifier: BSD-3-Clause
"""The guest's random numbers (docs/abi.md): splitmix64 from a seed and a purpose."""

from __future__ import annotations

import numpy as np
import xxhash

from khorig.kho.radix import Uint64Array

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


class RandomStream:
    """The stream for `purpose`."""

    def __init__(self, purpose: str, seed: int) -> None:
        self._state = seed + xxhash.xxh64_intdigest(purpose, seed=0) & _MASK

    def next(self) -> int:
        """The next number, below 2^64."""
        self._state = self._state + _STEP & _MASK
        z = self._state
        z = (z ^ z >> 30) * _FIRST & _MASK
        z = (z ^ z >> 27) * _SECOND & _MASK
        return z ^ z >> 31

    def below(self, limit: int) -> int:
        """The next number, modulo `limit`."""
        return self.next() % limit

    def take(self, count: int) -> Uint64Array:
        """The next `count` numbers at once."""
        steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_STEP)
        z: Uint64Array = steps + np.uint64(self._state)
        self._state = self._state + count * _STEP & _MASK
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
        return z ^ (z >> np.uint64(31))
