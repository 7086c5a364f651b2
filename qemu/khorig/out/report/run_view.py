# SPDX-License-Identifier: BSD-3-Clause
"""The contents of a run in a report."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from khorig.out.report.counter_chart import CounterChart, charts_of
from khorig.out.report.fragment_tree import TreeNode, tree_of
from khorig.out.report.memory_map import STRUCTURE, MemoryMap, colours_of, draw_map
from khorig.out.report.run_record import LogLine, RunRecord
from khorig.out.report.timeline import Lane, blackouts, lanes_of
from khorig.out.text import machine_label, scenario_label
from khorig.rules.finding import Finding, Verdict
from khorig.vm.build_outputs import source_root
from khorig.vm.machines import MACHINES, machine_named

_LOG_LINES = 400
_MOST_LANES = 12
_FIXED = {"radix node": "node", "scratch": "scratch", "used": "used", "free": "ram"}
_FILES = (
    "console.log", "events.jsonl", "verdict.json", "qemu.argv", "qemu.stderr", "qmp.jsonl",
    "rerun.sh",
)  # fmt: skip
_ADDRESS = re.compile("0x[0-9a-f]{1,16}")
_DAMAGE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Detail:
    """Level of detail; a session may have a thousand runs."""

    maps: int
    tree: int  # nodes
    timeline: bool
    opened: bool


@dataclass(frozen=True)
class Zoom:
    """The pages around a finding."""

    address: int
    first: int  # address of the first page
    page_size: int
    cells: Sequence[tuple[int, int, str, str]]  # first page, pages, colour key, owner
    pages: int
    page: int  # index of the page in the finding


@dataclass(frozen=True)
class MapView:
    """The memory map of a stop."""

    generation: int
    at: str
    map: MemoryMap


@dataclass
class RunView:
    """A run in the report."""

    number: int
    record: RunRecord
    detail: Detail
    label: str
    base: Path  # folder of the report
    maps: list[MapView] = field(default_factory=list)
    maps_left_out: int = 0
    zooms: list[Zoom] = field(default_factory=list)
    tree: TreeNode | None = None
    tree_generation: int = 0
    tree_total: int = 0
    lanes: list[Lane] = field(default_factory=list)
    lanes_left_out: int = 0
    jumps: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    counters: list[CounterChart] = field(default_factory=list)
    damage: str = ""

    @property
    def finding(self) -> Finding | None:
        """The cause of a failure."""
        return self.record.result.findings[0] if self.record.result.findings else None

    @property
    def counted(self) -> bool:
        """Whether the guest's clock counts instructions."""
        return self.record.result.spec.counted

    def units(self, ns: int) -> int:
        """Instructions with icount, else ns."""
        spec = self.record.result.spec
        known = spec.counted and any(machine.name == spec.machine for machine in MACHINES)
        return ns >> machine_named(spec.machine).icount_shift(spec.boot) if known else ns

    @property
    def log(self) -> Sequence[LogLine]:
        """The end of the log."""
        return self.record.log[-_LOG_LINES:]

    @property
    def log_left_out(self) -> int:
        """Number of earlier lines."""
        return max(0, len(self.record.log) - _LOG_LINES)

    @property
    def files(self) -> Iterator[tuple[str, str]]:
        """(name, link) of the artifacts."""
        for name in _FILES:
            path = self.record.folder / name
            if path.is_file() and path.stat().st_size:
                yield name, path.relative_to(self.base).as_posix()

    @property
    def next_steps(self) -> list[tuple[str, str]]:
        """(purpose, command) to investigate a failure."""
        steps = []
        if self.record.result.rerun:
            steps.append(("Rerun", self.record.result.rerun))
        finding = self.finding
        if finding and finding.verdict is not Verdict.INFRA:
            steps += _looks(self.record.folder, finding)
        return steps


def _looks(folder: Path, finding: Finding) -> Iterator[tuple[str, str]]:
    """Commands that examine the saved RAM of a failed run."""
    generation = finding.generation
    kept = {
        name: path
        for place in (folder, folder / "recorded")
        for path in sorted(place.glob("gen*.ram.zst"))
        for name in [path.name.removesuffix(".ram.zst")]
    }
    khorig = "scripts/khorig" if source_root() else "khorig"

    def command(verb: str, *names: str) -> str:
        return shlex.join([khorig, verb, *(_short(kept[name]) for name in names)])

    before, after = f"gen{generation - 1}.sealed", f"gen{generation}.{finding.stop}"
    if finding.stop in ("entry", "restored") and before in kept and after in kept:
        yield "Changes since it was sealed", command("diff", before, after)
    sealed = after if after in kept else f"gen{generation}.end"
    if sealed in kept:
        yield "Memory contents", command("inspect", sealed)
        if _ADDRESS.fullmatch(finding.where):
            yield "The page", f"{command('inspect', sealed)} --page {finding.where}"


def _short(path: Path) -> str:
    """Relative to the checkout, if below it."""
    root = source_root()
    absolute = Path(os.path.abspath(path))
    if root and absolute.is_relative_to(root):
        return str(absolute.relative_to(root))
    return str(absolute)


def view_run(number: int, record: RunRecord, detail: Detail, base: Path) -> RunView:
    """Never raises for the content of the record: errors are reported in `damage`."""
    spec = record.result.spec
    label = f"{machine_label(spec)} {scenario_label(spec)}"
    view = RunView(number, record, detail, label, base)
    if record.damaged:
        view.damage = f"{record.damaged} unreadable lines in events.jsonl"
    for part in (_draw_timeline, _draw_maps, _draw_tree):
        try:
            part(view)
        except _DAMAGE as error:
            view.damage = f"events.jsonl is damaged ({type(error).__name__}: {error})"
    return view


def _draw_timeline(view: RunView) -> None:
    if view.detail.timeline:
        lanes = lanes_of(view.record)
        view.jumps = blackouts(view.record, lanes)[-_MOST_LANES:]
        view.lanes = lanes[-_MOST_LANES:]
        view.lanes_left_out = len(lanes) - len(view.lanes)
        view.counters = charts_of(view.record)


def _draw_maps(view: RunView) -> None:
    pictures = [picture for picture in view.record.maps if "owners" in picture]
    colours = colours_of(pictures)
    conflicts = _conflicts(view.record)
    # Pictures with conflicts first, then the latest.
    urgent = [p for p in pictures if conflicts.get(int(p["gen"]))]
    chosen = (urgent + [p for p in reversed(pictures) if p not in urgent])[: view.detail.maps]
    for picture in pictures:
        generation = int(picture["gen"])
        if picture in chosen:
            drawn = draw_map(picture, colours, conflicts.get(generation, ()))
            view.maps.append(MapView(generation, str(picture["at"]), drawn))
    view.maps_left_out = len(pictures) - len(view.maps)
    for picture in view.record.maps:
        view.zooms += [_zoom(near, picture, colours) for near in picture.get("near", ())]


def _conflicts(record: RunRecord) -> dict[int, list[int]]:
    """Addresses of findings, by the generation whose picture shows them."""
    places: dict[int, list[int]] = {}
    for finding in record.result.findings:
        if finding.where.startswith("0x"):
            later = finding.stop in ("entry", "restored")
            generation = finding.generation - (1 if later else 0)
            places.setdefault(generation, []).append(int(finding.where, 16))
    return places


def _zoom(near: Mapping[str, Any], picture: Mapping[str, Any], colours: Mapping[str, str]) -> Zoom:
    page, at = int(picture["page_size"]), 0
    cells: list[tuple[int, int, str, str]] = []
    for use, count in near["runs"]:
        name = str(use)
        key = (
            _FIXED.get(name)
            or ("fragment" if name in STRUCTURE else None)
            or colours.get(name)
            or "other"
        )
        cells.append((at, int(count), "none" if name == "no RAM" else key, name))
        at += int(count)
    first, frame = int(near["first"]), int(near["page"])
    return Zoom(frame * page, first * page, page, cells, at, frame - first)


def _draw_tree(view: RunView) -> None:
    pictures = [picture for picture in view.record.maps if picture.get("fragments")]
    if pictures and view.detail.tree:
        last = pictures[-1]
        view.tree = tree_of(last)
        if view.tree:
            view.tree.keep(view.detail.tree)
        view.tree_generation = int(last["gen"])
        view.tree_total = int(last["fragment_count"])
