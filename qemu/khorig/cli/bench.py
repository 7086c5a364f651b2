# SPDX-License-Identifier: BSD-3-Clause
"""`khorig bench`"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any, Sequence

import click

from khorig.cli.bench_cost import check_options, cost_options, measure
from khorig.cli.qemu_arguments import check_qemu_arguments
from khorig.cli.run_options import machines_of, run_options, without
from khorig.cli.session import run_session, session_options
from khorig.cli.verb import VerbGroup
from khorig.guest.chain_run import ChainRun
from khorig.linux.chain import must_count
from khorig.rules.finding import Verdict
from khorig.vm.machines import Machine

if TYPE_CHECKING:
    from khorig.run.result import RunResult


@click.group(cls=VerbGroup, short_help="Measure.")
def bench() -> None:
    """Measure."""


@bench.command(
    takes_qemu=True, short_help="What a handover costs Linux, over its size, or beside khorig's."
)
@cost_options
@click.option(
    "--linux-version", default="7.3", show_default=True, help="Linux version to compare with."
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Runs of each to take the wall time of.",
)
@run_options(
    *("arch", "machine", "smp", "seed", "out", "dry_run", "verbose", "json"),
    mem="1G",
    timeout=300.0,
)
@without(
    boot="QEMU starts both kernels",
    jobs="runs at the same time slow each other down",
    stops="time at stops is the host's",
    tamper="what is measured has to pass",
    poke="what is measured has to pass",
    keep="time for images is the host's",
    gdb="it is more than one run",
)
@click.pass_context
def linux(context: click.Context, linux_version: str, rounds: int, **options: Any) -> int:
    """With --source, hand over 1, 10, ... sessions, files or folios from a Linux to itself, and
    print what each phase costs in instructions, and in pages: the tables, what grows faster than
    its work, and what is more expensive than with --against. The exit status is 1 when --source has
    one of these and --against does not.

    \b
      khorig bench linux --source ~/linux --against 7.3
      khorig bench linux --source 7.3 --machine q35 --kind sessions --limit 10000

    Without, run Linux's own handover test (test_kho over 8 MiB) and khorig's on the same QEMU, in
    turns, and print the ratios.

    Both begin with the start of QEMU and end when the second kernel has checked what it was handed.
    Wall time is that of plain runs, --rounds of each; instructions are counted in one more run of
    each, whose virtual time goes by instructions.
    """
    from khorig.linux.chain_kind import timed_kind

    extra_qemu: tuple[str, ...] = context.obj
    check_options(context, options["source"] is not None)
    if options["source"] is not None:
        return measure(extra_qemu, machines_of(options["arch"], options["machine"]), options)
    pair = ((f"linux-{linux_version}",) * 2, ("khorig",) * 2)
    specs = [
        ChainRun(
            arch=machine.arch,
            machine=machine.name,
            memory=options["mem"],
            smp=options["smp"],
            seed=options["seed"],
            timeout_s=options["timeout"],
            stops=(),
            kernels=kernels,
            extra_qemu=extra_qemu,
            counted=counted,
        )
        for machine in _machines(options)
        for counted in (*(False,) * rounds, True)
        for kernels in pair
    ]
    for spec in specs:
        check_qemu_arguments(spec)
    return run_session(
        specs,
        timed_kind(),
        dataclasses.replace(session_options(options, record=False), people=sys.stderr),
        lambda results: _comparison(specs, results, pair),
    )


def _machines(options: dict[str, Any]) -> list[Machine]:
    """Those on which a Linux needs no counted time. Raises UsageError for one that was named."""
    chosen = machines_of(options["arch"], options["machine"])
    for machine in chosen:
        if must_count(machine.name) and machine.name in (options["machine"] or ()):
            text = f"--machine {machine.name}: Linux has no wall time of its own there (-icount)"
            raise click.UsageError(text)
    return [machine for machine in chosen if not must_count(machine.name)]


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
