# SPDX-License-Identifier: BSD-3-Clause
"""Makes bugs of the catalogue."""

from __future__ import annotations

import json
from typing import Any, Callable, Mapping

from khorig.api.made_bug import MadeBug
from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.guest.chain_run import ChainRun
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.poke import parse_poke
from khorig.linux.chain_kind import chain_kind
from khorig.linux.peer import find_peer
from khorig.rules.bug import Bug, State
from khorig.rules.bugs import bugs
from khorig.rules.finding import Verdict
from khorig.rules.way import Way
from khorig.run.damage.damage import Damage
from khorig.run.damage.damaging_judge import DamagingJudge
from khorig.run.judging import Judge
from khorig.run.khorig_kind import khorig_kind
from khorig.vm.limits import Limits
from khorig.vm.machines import machine_named

Made = tuple[Bug, Way, str]  # with a machine

# Enough for a block of each kind, with little to hash.
_OPTIONS = ("megabytes=4",)
_GENERATIONS = 2


class BugMaker:
    """Does the runs of the catalogue's ways. A control is run once for all bugs that share it."""

    def __init__(self, rig: Rig, limits: Limits = Limits(silence_s=0.5, interval_s=0.05)) -> None:
        """`limits`: a guest that hangs need not be waited for as long as one on a busy host."""
        self._rig = rig
        self._limits = limits
        self._controls: dict[str, RigResult] = {}

    def make(self, bug: Bug, way: Way, machine: str) -> MadeBug:
        """Control, then the run with the defect. Raises ValueError for a way that is no run, and
        what Rig.run raises."""
        if not way.is_run:
            raise ValueError(f"{bug.id} is made by {way.means}, not by a run")
        control = self._control(way, machine)
        if control.verdict is not Verdict.PASS:
            return MadeBug(bug, way, machine, control, None, "")
        return self._defective(bug, way, machine, control)

    def _control(self, way: Way, machine: str) -> RigResult:
        options = _options(way.run)
        key = json.dumps([machine, options], sort_keys=True, default=str)
        if key not in self._controls:
            self._controls[key] = self._rig.run(machine, **options)
        return self._controls[key]

    def _defective(self, bug: Bug, way: Way, machine: str, control: RigResult) -> MadeBug:
        options = _options({**way.run, **way.defect})
        if not options.get("kernels"):
            options["limits"] = self._limits
        judges: list[DamagingJudge] = []
        if way.fault:
            options["fault"] = way.fault
        elif way.poke:
            poke = parse_poke(way.poke)
            if poke is None:
                raise ValueError(f"{bug.id}: poke '{way.poke}'")
            options["pokes"] = (poke,)
        elif way.header:
            options["kernels"] = self._with_header(bug, way, machine, options["kernels"])
        elif way.damage:
            from khorig.run.damage.catalogue import DAMAGES  # needs numpy and libfdt

            options["judge"] = _damaging(DAMAGES[way.damage], judges)
        result = self._rig.run(machine, **options)
        done = "; ".join(line for judge in judges for line in judge.lines)
        return MadeBug(bug, way, machine, control, result, done)

    def _with_header(
        self, bug: Bug, way: Way, machine: str, kernels: tuple[str, ...]
    ) -> tuple[str, ...]:
        """The chain with a copy of the last kernel that has another header."""
        offset, _, raw = way.header.partition("=")
        image = bytearray(find_peer(machine_named(machine).arch, kernels[-1]).image.read_bytes())
        at, wanted = int(offset, 0), bytes.fromhex(raw)
        image[at : at + len(wanted)] = wanted
        path = self._rig.out / f"{bug.id}-{offset}-{raw}.image"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
        return (*kernels[:-1], str(path))


def combinations(linux: bool) -> list[list[Made]]:
    """For each way to make a bug that is found by a run, with or without a Linux, its machines. The
    first of each list is another one from way to way, so that every machine has its share."""
    ways = [
        (bug, way)
        for bug in bugs().values()
        if bug.state is State.FOUND
        for way in bug.ways
        if way.is_run and way.needs_linux == linux
    ]
    return [
        [(bug, way, machines[(at + turn) % len(machines)]) for turn in range(len(machines))]
        for at, (bug, way) in enumerate(ways)
        for machines in [way.machines]
    ]


def _options(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """With what runs of khorig alone have unless the catalogue says otherwise."""
    options = dict(chosen)
    if not options.get("kernels"):
        options.setdefault("generations", _GENERATIONS)
        if options.get("scenario", KhorigRun.scenario) == KhorigRun.scenario:
            options.setdefault("extra_options", _OPTIONS)
    return options


def _damaging(damage: Damage, judges: list[DamagingJudge]) -> Callable[[Any], Judge]:
    """The judge of a run with that damage; `judges` gets it."""

    def make(spec: KhorigRun | ChainRun) -> Judge:
        if isinstance(spec, ChainRun):
            inner = chain_kind().judge(spec)
        else:
            inner = khorig_kind().judge(spec)
        judge = DamagingJudge(inner, damage)
        judges.append(judge)
        return judge

    return make
