# SPDX-License-Identifier: BSD-3-Clause
"""Results of `khorig teeth` as text and JSON."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence, TextIO

from khorig.guest.chain_run import ChainRun
from khorig.guest.spec import KHORIG, RunSpec
from khorig.linux.teeth import Teeth
from khorig.out.text import machine_label, result_lines
from khorig.rules.finding import Verdict
from khorig.run.result import RunResult
from khorig.run.teeth.bite import Bite, owner_of, pages_of
from khorig.run.teeth.plan import Plan

_HEARTBEAT_S = 10.0


def chain_label(spec: RunSpec) -> str:
    """ "khorig" for a run of khorig alone, else the kernels of the chain."""
    return spec.what if isinstance(spec, ChainRun) else KHORIG


class TeethRenderer:
    """Progress, and a block for each change not caught (see khorig.run.outputs.Renderer)."""

    def __init__(self, stream: TextIO, teeth: Teeth, verbose: bool = False) -> None:
        """`verbose` shows caught changes, too."""
        self._stream = stream
        self._teeth = teeth
        self._verbose = verbose
        self._total = 0
        self._done = 0
        self._spoke_s = time.monotonic()

    def begin(self, specs: Sequence[RunSpec]) -> None:
        self._total, self._done = len(specs), 0

    def record(self, spec: RunSpec, record: Mapping[str, Any]) -> None:
        pass

    def tick(self) -> None:
        if self._stream.isatty():
            print(
                f"\r\033[K {self._done}/{self._total} runs", end="", file=self._stream, flush=True
            )
        elif time.monotonic() - self._spoke_s >= _HEARTBEAT_S:
            self._print(f" {self._done}/{self._total} runs")

    def result(self, result: RunResult) -> None:
        self._done += 1
        if not result.spec.pokes:
            lines = result_lines(result) if result.verdict is not Verdict.PASS else []
        else:
            bite = self._teeth.bite_of(result)
            lines = bite_lines(bite) if self._verbose or not bite.is_tooth else []
        for line in lines:
            self._print(line)

    def end(self, results: Sequence[RunResult], folder: Path, wall_s: float) -> None:
        if self._stream.isatty():
            print("\r\033[K", end="", file=self._stream, flush=True)

    def _print(self, line: str) -> None:
        self._spoke_s = time.monotonic()
        start = "\r\033[K" if self._stream.isatty() else ""
        print(f"{start}{line}", file=self._stream, flush=True)


def bite_lines(bite: Bite) -> list[str]:
    """One line for what was found, a block for what was not."""
    attempt, result = bite.attempt, bite.result
    head = f" {bite.outcome.name:<7} {machine_label(result.spec):<15} {chain_label(result.spec)}  "
    head += f"{attempt.owner_class}  {attempt.poke}"
    if bite.is_tooth:
        return [head]
    lines = [head, *(f"  poked     {poked.line}" for poked in result.poked)]
    lines += [f"  why       {attempt.why}", f"  found     {_found(result)}"]
    pages = " or ".join(_pages(bite)) or "any page"
    lines += [f"  expected  {owner_of(attempt, result)} at {pages}"]
    return [*lines, f"  rerun     {result.rerun}"]


def _found(result: RunResult) -> str:
    if not result.findings:
        return result.verdict.value
    first = result.findings[0]
    place = ", ".join(word for word in (first.owner, first.where) if word)
    return f"{result.verdict.value}: {first.rule}: {first.what}" + (f" ({place})" if place else "")


def _pages(bite: Bite) -> list[str]:
    return [f"{page:#018x}" for page in sorted(pages_of(bite.attempt, bite.result))]


def score_lines(teeth: Teeth) -> Iterator[str]:
    """The score of each chain, and the changes not tried."""
    for plan in teeth.plans:
        found = sum(bite.is_tooth for bite in teeth.bites_of(plan))
        label = f"{chain_label(plan.spec):<27} {machine_label(plan.spec)}"
        yield f"caught {found} of {len(plan.attempts):<3} {label}"
        for (generation, stop, why), names in _out_of_reach(plan).items():
            yield f"  not covered  {generation}:{stop}  {', '.join(names)}: {why}"


def _out_of_reach(plan: Plan) -> dict[tuple[int, str, str], list[str]]:
    groups: dict[tuple[int, str, str], list[str]] = {}
    for beyond in plan.out_of_reach:
        key = (beyond.generation, beyond.stop, beyond.why)
        groups.setdefault(key, []).append(beyond.owner_class)
    return groups


def teeth_document(teeth: Teeth) -> str:
    """All results as JSON."""
    chains = [
        {
            "chain": chain_label(plan.spec).split("+"),
            "arch": plan.spec.arch,
            "machine": plan.spec.machine,
            "boot": plan.spec.boot,
            "teeth": sum(bite.is_tooth for bite in teeth.bites_of(plan)),
            "of": len(plan.attempts),
            "attempts": [_bite(bite) for bite in teeth.bites_of(plan)],
            "out_of_reach": [dataclasses.asdict(beyond) for beyond in plan.out_of_reach],
        }
        for plan in teeth.plans
    ]
    return json.dumps({"schema": 1, "chains": chains}, indent=1) + "\n"


def _bite(bite: Bite) -> dict[str, Any]:
    attempt, result = bite.attempt, bite.result
    first = result.findings[0] if result.findings else None
    return {
        "class": attempt.owner_class,
        "poke": str(attempt.poke),
        "why": attempt.why,
        "owner": owner_of(attempt, result),
        "pages": _pages(bite),
        "poked": [dataclasses.asdict(poked) for poked in result.poked],
        "outcome": bite.outcome.value,
        "verdict": result.verdict.value,
        "finding": first.json() if first else None,
        "id": result.id,
        "rerun": result.rerun,
    }
