# SPDX-License-Identifier: BSD-3-Clause
"""Damages a dump's file over and over, and looks at each with all that the tools have.

KHORIG_MUTATIONS is the number of damages that the memory of real kernels gets, KHORIG_MUTATION_SEED
chooses them. More damages of the same seed begin with those of fewer.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from pathlib import Path
from typing import Iterable, Iterator, Literal

from measured import cost_of
from view.handover_image import PAGE, RAM

from khorig.kho.snapshot import NoHandover, Snapshot, find_snapshot
from khorig.mem.formats import Dump, UnreadableDump, open_dump
from khorig.mem.memory import range_at
from khorig.out.inspect import details
from khorig.out.inspect.document import inspection_document
from khorig.out.inspect.foreign import foreign_lines
from khorig.out.inspect.memory_map import memory_map
from khorig.out.inspect.page import page_document, page_lines
from khorig.out.inspect.summary import candidate_line, summary_lines
from khorig.out.report.dump_page import dump_html, dump_svg
from khorig.rules.check import check, check_unreadable
from khorig.rules.page_view import view_page

COUNT = int(os.environ.get("KHORIG_MUTATIONS", "667"))
SEED = int(os.environ.get("KHORIG_MUTATION_SEED", "1"))
_SLOWEST_S = 10.0  # of CPU, for one look
_MOST_KIB = 300 << 10  # for all looks at one file
_ROUNDS_BETWEEN_FRESH = 8  # damages of one file before it is whole again
_WEIGHTS = {
    "packed.ram.zst": 0.02, "kdump": 0.1, "kdump-lzo": 0.1, "kdump-zstd": 0.1, "flattened": 0.1
}  # fmt: skip
_ROUNDS_PER_WHOLE_LOOK = 64  # what people are shown takes longer to make than to decide
_VALUES = (0, 1, 2, 7, 8, 0xFF, 0xFFF, 0x1000, RAM.begin, RAM.end, RAM.begin + PAGE, 1 << 52,
           1 << 63, (1 << 64) - 1, (1 << 64) - PAGE)  # fmt: skip


class _Target:
    """A dump's file, which is damaged over and over."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.path = path
        self.rng = rng
        self.size = path.stat().st_size
        self._file = os.open(path, os.O_RDWR)
        self._extents = list(self._find_extents())
        self._undo: list[tuple[int, bytes]] = []

    def _find_extents(self) -> Iterator[tuple[int, int]]:
        at = 0
        while at < self.size:
            content = os.pread(self._file, PAGE, at)
            if content != bytes(len(content)):
                yield at, len(content)
            at += PAGE

    def damage(self) -> None:
        """Changes a little of what is not zero, most often a word."""
        if len(self._undo) >= _ROUNDS_BETWEEN_FRESH:
            self.mend()
        begin, length = self.rng.choice(self._extents)
        # Structure lies at the start of pages.
        at = begin + min(length - 1, int(length * self.rng.random() ** 4))
        kind = self.rng.random()
        if kind < 0.4:
            at &= -8
            order: Literal["little", "big"] = "big" if self.rng.random() < 0.5 else "little"
            new = self.rng.choice(_VALUES).to_bytes(8, order)
        elif kind < 0.6:
            new = bytes([self.rng.randrange(256)])
        elif kind < 0.8:
            old = os.pread(self._file, 1, at)
            new = bytes([old[0] ^ 1 << self.rng.randrange(8)]) if old else b""
        elif kind < 0.9:
            other, _ = self.rng.choice(self._extents)
            new = os.pread(self._file, self.rng.choice((8, 64, PAGE)), other)
        else:
            new = self.rng.randbytes(self.rng.choice((4, 40, 400)))
        new = new[: max(0, self.size - at)]
        self._undo.append((at, os.pread(self._file, len(new), at)))
        os.pwrite(self._file, new, at)

    def mend(self) -> None:
        """As it was."""
        for at, old in reversed(self._undo):
            os.pwrite(self._file, old, at)
        self._undo.clear()

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def _look(dump: Dump, everything: bool) -> None:
    """All that the tools do with a dump. Raises nothing but NoHandover."""
    snapshot = find_snapshot(dump)
    for outcome in check(snapshot):
        for violation in outcome.violations:
            assert violation.text.isprintable() and len(violation.text) < 400, violation
    if everything:
        lines = summary_lines(snapshot)
        inspection_document(snapshot, pages=True)
        for part in (details.tree_lines, details.dts_lines, details.owner_lines):
            lines += part(snapshot)
        memory_map(snapshot)
        dump_html(snapshot)
        dump_svg(snapshot)
        assert lines
        for address in _places(snapshot):
            view = view_page(dump, snapshot, address, 7)
            shown = list(page_lines(view, snapshot, 7, ()))
            assert all(line.isprintable() and len(line) < 400 for line in shown), shown
            json.dumps(page_document(view, snapshot, ()))


def _places(snapshot: Snapshot) -> list[int]:
    """A page of each kind that is there and in RAM."""
    geometry, handover = snapshot.geometry, snapshot.handover
    nodes = [node.address for node in handover.tree.nodes]
    firsts = (snapshot.owners.begins[:3] << geometry.page_shift).tolist()
    found = [snapshot.root, *nodes[:1], *nodes[-1:], *firsts]
    ranges = snapshot.memory.ranges
    return [
        address for address in found
        if range_at(ranges, address).contains(address & -geometry.page_size, geometry.page_size)
    ]  # fmt: skip


def look_at(path: Path, everything: bool, machine: str | None = None) -> str:
    """One look at a file, of `machine` when the file does not say so. What came of it."""
    try:
        with open_dump(path, machine) as dump:
            try:
                _look(dump, everything)
            except NoHandover as error:
                for candidate in error.candidates:
                    assert candidate_line(candidate).isprintable()
                    if candidate.handover is None:
                        list(foreign_lines(dump.memory, candidate.address, True))
                        check_unreadable(candidate)
                return "no handover"
        return "read"
    except UnreadableDump as error:
        assert error.why and str(error).isprintable()
        return "no dump"


def rounds_of(formats: Iterable[str], format: str, share: float) -> int:
    """How often to damage a dump in `format`, for `share` of all damages to go to `formats`. What
    has to be unpacked takes longer to look at, so it gets less."""
    weights = {name: _WEIGHTS.get(name, 1.0) for name in formats}
    return math.ceil(COUNT * share * weights[format] / sum(weights.values()))


def mutate(path: Path, rounds: int, rng: random.Random, machine: str | None) -> None:
    """Damages a dump `rounds` times and looks at each damage, in a process of its own. Fails when a
    look raises, in which case the file is kept, or when it takes too much CPU time or memory."""
    cost = cost_of(lambda: _mutate(path, rounds, rng, machine))
    assert cost.grown_kib < _MOST_KIB, f"{path.name}: {cost}"


def _mutate(path: Path, rounds: int, rng: random.Random, machine: str | None) -> None:
    assert look_at(path, True, machine) == "read"
    target = _Target(path, rng)
    outcomes: dict[str, int] = {}
    for number in range(rounds):
        target.damage()
        begin = time.process_time()
        try:
            outcome = look_at(path, number % _ROUNDS_PER_WHOLE_LOOK == 0, machine)
        except Exception as error:
            folder = Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR", "/tmp"))
            kept = folder / f"broken-{path.name}"
            kept.write_bytes(path.read_bytes())
            raise AssertionError(f"damage {number} of {path.name}: {kept}") from error
        took_s = time.process_time() - begin
        assert took_s < _SLOWEST_S, f"damage {number} of {path.name}: {took_s:.1f} s of CPU"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    target.close()
    assert sum(outcomes.values()) == rounds and outcomes.get("read", 0) >= rounds // 20, outcomes
