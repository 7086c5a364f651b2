# SPDX-License-Identifier: BSD-3-Clause
"""Damaged dumps in every format: an answer in bounded time and memory, never a crash.

KHORIG_MUTATIONS says how many (20,000), KHORIG_MUTATION_SEED which.
"""

from __future__ import annotations

import math
import os
import random
import resource
import time
from pathlib import Path
from typing import Any, Iterator, Literal

import pytest

from dumps.bitmap_image import BitmapImage
from dumps.dump_files import WRITERS
from dumps.sample import FRAME_TABLE, Sample
from khorig.check.check import check, check_unreadable
from khorig.guest_ram import GuestRam
from khorig.present import details
from khorig.present.document import inspection_document
from khorig.present.foreign import foreign_lines
from khorig.present.memory_map import memory_map
from khorig.present.summary import candidate_line, summary_lines
from khorig.view.dumps import Dump, UnreadableDump, open_dump
from khorig.view.inspection import NoHandover, inspect
from khorig.view.memory import PhysRange
from view.handover_image import MIB, PAGE, RAM, HandoverImage, add_metadata

COUNT = int(os.environ.get("KHORIG_MUTATIONS", "20000"))
SEED = int(os.environ.get("KHORIG_MUTATION_SEED", "1"))
_SLOWEST_S = 10.0
_MOST_MEMORY = 300 << 10  # KiB, of the whole test
# Shares of all damages. Unpacking a frame of zstd takes longer than everything else.
_VERSIONS = {"full": 0.25, "small": 0.5, "v1": 0.25}
_FORMATS = {name: 0.1 if name.startswith("packed") else 1.0 for name in WRITERS}
_SMALL_RAM = PhysRange(RAM.begin, 16 * MIB)
_SMALL_SCRATCH = PhysRange(RAM.begin + 8 * MIB, 4 * MIB)
_ROUNDS_BETWEEN_FRESH = 8  # damages of one file before it is whole again
_VALUES = (0, 1, 2, 7, 8, 0xFF, 0xFFF, 0x1000, RAM.begin, RAM.end, RAM.begin + PAGE, 1 << 52,
           1 << 63, (1 << 64) - 1, (1 << 64) - PAGE)  # fmt: skip


def _ram(version: str) -> tuple[GuestRam, dict[str, Any]]:
    facts: dict[str, Any] = {"generation": 1, "at": "sealed", "machine": "q35", "arch": "x86_64"}
    facts["scratch"] = [[hex(_SMALL_SCRATCH.begin), hex(_SMALL_SCRATCH.size)]]
    if version == "small":
        image = HandoverImage((_SMALL_RAM,), (_SMALL_SCRATCH,))
        add_metadata(image, 1)
        image.preserved_block(2)
        return image.ram, {**facts, "root": hex(image.finish())}
    if version == "v1":
        old = BitmapImage(512, (_SMALL_RAM,), (_SMALL_SCRATCH,))
        for order in (0, 0, 1, 4):
            old.preserved_block(order)
        return old.ram, {**facts, "root": hex(old.finish_v1())}
    sample = Sample().finish()
    table = {"table": hex(FRAME_TABLE), "first": RAM.begin >> 12, "count": RAM.size >> 12}
    return sample.image.ram, {**facts, "root": hex(sample.image.root), "frames": table}


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
            if content.strip(b"\0"):
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
    inspection = inspect(dump)
    for outcome in check(inspection):
        for violation in outcome.violations:
            assert violation.text.isprintable() and len(violation.text) < 400, violation
    if everything:
        lines = summary_lines(inspection)
        inspection_document(inspection, pages=True)
        for part in (details.tree_lines, details.dts_lines, details.owner_lines):
            lines += part(inspection)
        memory_map(inspection)
        assert lines


def _try(path: Path, everything: bool) -> str:
    """One look at a file. What came of it."""
    try:
        with open_dump(path, "q35" if path.name == "image" else None) as dump:
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


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("format", sorted(WRITERS))
def test_mutations(format: str, version: str, tmp_path: Path) -> None:
    share = _FORMATS[format] / sum(_FORMATS.values()) * _VERSIONS[version]
    rounds = math.ceil(COUNT * share)
    rng = random.Random(f"{SEED}/{format}/{version}")
    ram, facts = _ram(version)
    path = tmp_path / format
    WRITERS[format](path, ram, facts)
    target = _Target(path, rng)
    outcomes: dict[str, int] = {}
    assert _try(path, True) == "read"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(rounds):
        target.damage()
        begin = time.monotonic()
        try:
            outcome = _try(path, number % 16 == 0)
        except Exception as error:
            kept = Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR", "/tmp")) / f"broken-{format}"
            kept.write_bytes(path.read_bytes())
            raise AssertionError(f"{format} {version}, damage {number}: {kept}") from error
        assert time.monotonic() - begin < _SLOWEST_S, f"damage {number} of {format}"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    target.close()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < _MOST_MEMORY, outcomes
    assert outcomes.get("read", 0) > rounds // 20, outcomes


def test_files_that_are_cut_off(tmp_path: Path) -> None:
    ram, facts = _ram("full")
    rng = random.Random(SEED)
    for format, write in WRITERS.items():
        path = tmp_path / format
        write(path, ram, facts)
        size = path.stat().st_size
        places = sorted({rng.randrange(size) for _ in range(15)} | {1, 63, 600}, reverse=True)
        for place in places:
            os.truncate(path, place)
            _try(path, True)
