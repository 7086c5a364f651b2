# SPDX-License-Identifier: BSD-3-Clause
"""The runs of `khorig teeth`: small runs of khorig alone and of chains with Linux."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from khorig.guest.chain_run import ChainRun
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.spec import KHORIG, RunSpec
from khorig.linux.chain import make_images, must_count
from khorig.linux.chain_kind import chain_kind
from khorig.rules.finding import Verdict
from khorig.run.judging import Judge
from khorig.run.khorig_kind import khorig_kind
from khorig.run.result import RunResult
from khorig.run.session import RunKind, Session
from khorig.run.teeth.bite import Bite, bite_of
from khorig.run.teeth.plan import Attempt, Plan, make_plan
from khorig.run.teeth.survey import Survey
from khorig.vm.build_outputs import Images, find_images
from khorig.vm.machines import Machine

_LINUX = "linux-7.3"
# Each direction, and khorig as intermediate kernel.
CHAINS = (
    (KHORIG,),
    (_LINUX, KHORIG),
    (KHORIG, _LINUX),
    (_LINUX, _LINUX),
    (_LINUX, KHORIG, _LINUX),
)
_KHORIG_MEMORY = 128 << 20
_CHAIN_MEMORY = 512 << 20
_CHAIN_TIMEOUT_S = 300.0
# Enough for an owner of each class, with little to hash.
_OPTIONS = ("megabytes=1", "reserve_mem=64K:4096:reference")


def spec_of(kernels: Sequence[str], machine: Machine, boot: str, seed: int) -> RunSpec:
    """The run to poke: three generations if khorig is alone."""
    if tuple(kernels) == (KHORIG,):
        return KhorigRun(
            machine.arch,
            machine.name,
            boot=boot,
            seed=seed,
            memory=_KHORIG_MEMORY,
            extra_options=_OPTIONS,
        )
    return ChainRun(
        machine.arch,
        machine.name,
        boot=boot,
        seed=seed,
        memory=_CHAIN_MEMORY,
        timeout_s=_CHAIN_TIMEOUT_S,
        kernels=tuple(kernels),
        counted=must_count(machine.name),
    )


def judge_of(spec: RunSpec) -> Judge:
    """The judge of a run."""
    if isinstance(spec, ChainRun):
        return chain_kind().judge(spec)
    assert isinstance(spec, KhorigRun)
    return khorig_kind().judge(spec)


def _images(spec: RunSpec, machine: Machine, folder: Path) -> Images:
    if isinstance(spec, ChainRun):
        return make_images(spec, machine, folder)
    return find_images(machine)


class Teeth:
    """Flips one byte per run and counts the detections. Each run is first done unmodified and must
    pass; it shows who owns which page."""

    def __init__(self, classes: Sequence[str]) -> None:
        """`classes`: names in khorig.run.teeth.classes.CLASSES."""
        self.plans: list[Plan] = []
        self.bites: list[Bite] = []
        self._classes = tuple(classes)
        self._surveys: dict[RunSpec, Survey] = {}
        self._attempts: dict[RunSpec, Attempt] = {}

    @property
    def kind(self) -> RunKind[RunSpec]:
        """The RunKind for the session."""
        return RunKind(self._judge, lambda spec: (), _images)

    def _judge(self, spec: RunSpec) -> Judge:
        if spec.pokes:
            return judge_of(spec)
        survey = Survey(judge_of(spec))
        self._surveys[spec] = survey
        return survey

    def survey(
        self, session: Session[RunSpec], specs: Sequence[RunSpec], jobs: int
    ) -> list[RunResult]:
        """Does the unmodified runs and plans attempts for each that passes. Returns the failed
        ones. Raises InfraError as Session does."""
        results = session.run_all(specs, jobs)
        for result in results:
            if result.verdict is Verdict.PASS:
                places = self._surveys[result.spec].places
                self.add_plan(make_plan(result.spec, places, self._classes))
        return [result for result in results if result.verdict is not Verdict.PASS]

    def add_plan(self, plan: Plan) -> None:
        """Adds attempts."""
        self.plans.append(plan)
        self._attempts |= {attempt.spec: attempt for attempt in plan.attempts}

    def bite(self, session: Session[RunSpec], jobs: int) -> None:
        """Runs every attempt of every plan. Raises InfraError as Session does."""
        specs = [attempt.spec for plan in self.plans for attempt in plan.attempts]
        self.bites = [self.bite_of(result) for result in session.run_all(specs, jobs)]

    def bite_of(self, result: RunResult) -> Bite:
        """The outcome of an attempt's run. Raises KeyError for other runs."""
        return bite_of(self._attempts[result.spec], result)

    def bites_of(self, plan: Plan) -> list[Bite]:
        """Outcomes of one plan, in its order."""
        mine = {attempt.spec for attempt in plan.attempts}
        return [bite for bite in self.bites if bite.attempt.spec in mine]
