# SPDX-License-Identifier: BSD-3-Clause
"""Runs under QEMU, one at a time, for programs and tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Sequence

from khorig.api.rig_result import RigResult
from khorig.guest.chain_run import ChainRun
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.spec import RunSpec
from khorig.linux.chain import must_count
from khorig.linux.chain_kind import chain_kind
from khorig.linux.peer import pinned
from khorig.out.session_documents import SessionDocuments
from khorig.rules.protocol.scenario import words_of
from khorig.run.judging import Judge, StopHook
from khorig.run.khorig_kind import khorig_kind
from khorig.run.needs import with_needs
from khorig.run.scenarios import needs_of
from khorig.run.session import RunKind, Session
from khorig.vm.cancellation import Cancellation
from khorig.vm.limits import Limits
from khorig.vm.machines import machine_named

_CHAIN_MEMORY = 1 << 30
_CHAIN_TIMEOUT_S = 300.0


class Rig:
    """Boots, hands over, and judges.

        rig = khorig.Rig("out")
        result = rig.run("virt", "recursion", generations=5)
        result.expect_pass()

    The kernels are those of $KHORIG_BUILD, or of bazel-bin in the checkout (`scripts/khorig run`
    builds them). Each run has a folder of its own below `out`.
    """

    def __init__(self, out: str | os.PathLike[str]) -> None:
        """`out` is made when it is not there."""
        self.out = Path(out)
        self.results: list[RigResult] = []

    def run(
        self,
        machine: str,
        scenario: str = KhorigRun.scenario,
        *,
        kernels: Sequence[str] = (),
        hooks: Sequence[StopHook] | None = None,
        judge: Callable[[Any], Judge] | None = None,
        keep: bool = False,
        record: bool = False,
        limits: Limits = Limits(),
        **options: Any,
    ) -> RigResult:
        """One run of khorig's own kernel, which plays a scenario on a machine (`khorig list`), or,
        with `kernels`, of a chain of them: "khorig", "linux-7.2", or the path of one.

        `hooks` are called at each stop after the judge has looked, and may write to guest RAM; they
        take the place of what `tamper` asks for. `judge` takes the place of the rig's own. `keep`
        keeps guest RAM at every stop; `record` repeats a failed run and keeps it then. `limits` has
        the times of the hang detector, among others. All other options are fields of KhorigRun or
        ChainRun: `generations`, `memory` (bytes), `smp`, `seed`, `timeout_s`, `stops`, `fault`,
        `boot`, `extra_options`, `extra_qemu`; of a chain `linux_options`, `extra_initrd`,
        `programs` (each as in --run), `kexec_flags` (each as in --kexec-flag), `crash`.

        Whatever happens to the run is in the result. Raises InfraError when `out` cannot be
        written, UnmetNeed when the machine lacks what the scenario needs, KeyError for an unknown
        machine, TypeError for an unknown option.
        """
        arch = machine_named(machine).arch
        changes: dict[str, Any] = {}
        if hooks is not None:
            chosen = tuple(hooks)
            changes["hooks"] = lambda spec: chosen
        if judge is not None:
            changes["judge"] = judge
        spec: RunSpec
        kind: RunKind[Any]
        if kernels:
            chain: dict[str, Any] = {"memory": _CHAIN_MEMORY, "timeout_s": _CHAIN_TIMEOUT_S}
            chain |= {"counted": must_count(machine), **options}
            names = tuple(pinned(arch, name) for name in kernels)
            spec = ChainRun(arch, machine, kernels=names, **chain)
            kind = chain_kind(**changes)
        else:
            plays = words_of(scenario)
            run = KhorigRun(arch, machine, scenario=scenario, plays=plays, **options)
            spec = with_needs(run, needs_of(arch, scenario))
            kind = khorig_kind(**changes)
        return self._run(spec, kind, keep, record, limits)

    def run_spec(self, spec: KhorigRun, *, record: bool = False) -> RigResult:
        """The same for a run whose specification is there."""
        return self._run(spec, khorig_kind(), False, record, Limits())

    def _run(
        self, spec: RunSpec, kind: RunKind[Any], keep: bool, record: bool, limits: Limits
    ) -> RigResult:
        session = Session(
            self.out,
            kind,
            SessionDocuments(),
            Cancellation(),
            keep=keep,
            record=record,
            limits=limits,
        )
        result = RigResult.of(session.run(spec))
        self.results.append(result)
        return result
