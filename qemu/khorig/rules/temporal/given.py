# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel was given by its boot parameters, the next one is given as well."""

from __future__ import annotations

import functools
from typing import Mapping

from khorig.guest.chain_run import is_linux
from khorig.kho.boot.given import read_given
from khorig.rules.finding import Finding
from khorig.rules.stop import Stop, decoded
from khorig.rules.temporal.definitions import GIVEN
from khorig.rules.temporal.not_handed_on import SEEDS, may_be_missing, may_differ

GIVEN_OWNER = "boot parameters"
_PARAMETERS = "parameters"  # the segment's name
_MOST = 8  # findings
_PVH = "pvh"  # whose parameters are no boot_params


class Given:
    """Reads the parameters of every kernel that reports where they are, and of a Linux behind a
    khorig, which loaded them. What a Linux gives a Linux nobody reports."""

    def __init__(self) -> None:
        self._last: tuple[int, Mapping[str, bytes]] | None = None  # with the generation
        self._next: tuple[int, int] | None = None  # a generation and where its parameters will be

    def check(self, stop: Stop) -> list[Finding]:
        """At `sealed` where the next kernel's are, at `entry` what is missing in them."""
        if stop.at == "sealed":
            areas = stop.facts.segments.items if stop.facts.segments else ()
            places = [item.area.begin for item in areas if item.name == _PARAMETERS]
            self._next = (stop.generation + 1, places[0]) if places else None
        parameters = self._parameters(stop) if stop.at == "entry" else None
        if parameters is None:
            return []
        return decoded(stop, GIVEN, GIVEN_OWNER, functools.partial(self._compare, stop, parameters))

    def _parameters(self, stop: Stop) -> int | None:
        if self._next and self._next[0] == stop.generation:
            return self._next[1]
        return None if stop.facts.protocol == _PVH else stop.facts.parameters

    def _compare(self, stop: Stop, parameters: int) -> list[Finding]:
        given = read_given(stop.memory, stop.arch, parameters)
        before, self._last = self._last, (stop.generation, given)
        if before is None:
            return []
        generation, had = before
        between = range(generation, stop.generation)
        behind_linux = any(is_linux(stop.spec.kernel_of(number)) for number in between)
        findings = []
        for name, content in had.items():
            there = f"{name} ({_size(len(content))}) was there at entry of generation {generation}"
            what = ""
            if name not in given:
                if not may_be_missing(name, behind_linux):
                    what = f"{there}, is missing at entry of {stop.generation}"
            elif name in SEEDS and content and given[name] == content:
                what = f"{there}, is given again to generation {stop.generation}: a seed is for one"
            elif given[name] != content and not may_differ(name):
                what = f"{there}, has other content at entry of {stop.generation}"
            if what:
                findings.append(stop.finding(GIVEN, what, parameters, GIVEN_OWNER))
        return findings[:_MOST]


def _size(count: int) -> str:
    return f"{count} B" if count < 1024 else f"{count / 1024:.1f} KiB"
