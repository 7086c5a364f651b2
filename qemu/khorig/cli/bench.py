# SPDX-License-Identifier: BSD-3-Clause
"""`khorig bench`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Sequence

import click

from khorig.cli.types import NameOf, OutFolder, Seconds, Size
from khorig.guest.chain_run import ChainRun
from khorig.linux.chain import must_count
from khorig.rules.finding import Verdict
from khorig.vm.machines import DEFAULT_MACHINES, MACHINES

if TYPE_CHECKING:
    from khorig.run.result import RunResult


def _machines() -> list[str]:
    return [machine.name for machine in MACHINES if not must_count(machine.name)]


@click.group(short_help="Measure.")
def bench() -> None:
    """Measure."""


@bench.command(
    short_help="Linux's own handover test and khorig's, side by side.",
    context_settings={"auto_envvar_prefix": "KHORIG"},
)
@click.option("--version", default="7.3", show_default=True, help="Of the Linux peer.")
@click.option(
    "--machine",
    type=NameOf("machine", _machines),
    default=",".join(DEFAULT_MACHINES),
    show_default=True,
)
@click.option("--mem", type=Size(), default="1G", show_default=True, help="RAM.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--timeout",
    type=Seconds(),
    default=300.0,
    show_default=True,
    help="Seconds that the guest of one run may take.",
)
@click.option("--out", type=OutFolder(), help="Folder for artifacts.  [default: out]")
@click.pass_obj
def linux(
    extra_qemu: tuple[str, ...],
    version: str,
    machine: tuple[str, ...],
    mem: int,
    rounds: int,
    timeout: float,
    out: Path | None,
) -> int:
    """Run Linux's own handover test (test_kho over 8 MiB) and khorig's on the same QEMU, in turns,
    and print the ratios.

    Both begin with the start of QEMU and end when the second kernel has checked what it was handed.
    Wall time is that of plain runs, --rounds of each; instructions are counted in one more run of
    each, whose virtual time goes by instructions.
    """
    from khorig.cli.session import SessionOptions, run_session
    from khorig.linux.chain_kind import chain_kind

    pair = ((f"linux-{version}",) * 2, ("khorig",) * 2)
    specs = [
        ChainRun(
            arch=next(m.arch for m in MACHINES if m.name == one),
            machine=one,
            memory=mem,
            timeout_s=timeout,
            stops=(),
            kernels=kernels,
            extra_qemu=extra_qemu,
            counted=counted,
        )
        for one in machine
        for counted in (*(False,) * rounds, True)
        for kernels in pair
    ]
    options = SessionOptions(out, people=sys.stderr, record=False)
    return run_session(
        specs,
        chain_kind(hooks=lambda spec: ()),
        options,
        lambda results: _comparison(specs, results, pair),
    )


def _comparison(
    specs: Sequence[ChainRun],
    results: Sequence[RunResult],
    pair: tuple[tuple[str, ...], tuple[str, ...]],
) -> str:
    """A table for each machine on which everything passed."""
    from khorig.out.linux_comparison import cost_of, render_comparison

    passed = [
        (spec, cost_of(result))
        for spec, result in zip(specs, results)
        if result.verdict is Verdict.PASS
    ]
    lines = []
    for arch, machine in dict.fromkeys((spec.arch, spec.machine) for spec in specs):
        timed, counted = (
            [
                [
                    cost
                    for spec, cost in passed
                    if (spec.machine, spec.counted, spec.kernels) == (machine, counts, kernels)
                ]
                for kernels in pair
            ]
            for counts in (False, True)
        )
        if all((*timed, *counted)):
            lines += render_comparison(f"{arch} ({machine})", pair[0][0], timed, counted)
    return "\n".join(lines)
