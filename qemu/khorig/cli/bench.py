# SPDX-License-Identifier: BSD-3-Clause
"""`khorig bench`"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from khorig.cli import exit_codes
from khorig.cli.types import NameOf, Size
from khorig.guest.spec import RunSpec
from khorig.linux.chain import must_count
from khorig.rules.finding import Verdict
from khorig.run.artifacts import default_out
from khorig.vm.machines import DEFAULT_MACHINES, MACHINES


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
@click.option("--machine", type=NameOf("machine", _machines),
              default=",".join(DEFAULT_MACHINES), show_default=True)
@click.option("--mem", type=Size(), default="1G", show_default=True, help="RAM.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=300.0,
              show_default=True, help="Seconds that one run may take.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Folder for artifacts.  [default: out]")
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
    from khorig.cli.output import renderer_for
    from khorig.linux.judge import LinuxJudge
    from khorig.out.linux_comparison import cost_of, render_comparison
    from khorig.run.session import Session
    from khorig.vm.cancellation import Cancellation

    cancellation = Cancellation()
    cancellation.install()
    renderers = [renderer_for(sys.stderr, False)]
    session = Session(
        out or default_out(), LinuxJudge, lambda spec: (), cancellation, renderers, record=False
    )
    pair = ((f"linux-{version}",) * 2, ("khorig",) * 2)
    specs = [
        RunSpec(
            arch=next(m.arch for m in MACHINES if m.name == one),
            machine=one,
            scenario="relay",
            generations=2,
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
    results = session.run_all(specs)
    for one in machine:
        mine = [r for r in results if r.spec.machine == one and r.verdict is Verdict.PASS]
        timed, counted_runs = (
            [
                [cost_of(r) for r in mine if (r.spec.counted, r.spec.kernels) == (counted, kernels)]
                for kernels in pair
            ]
            for counted in (False, True)
        )
        if all((*timed, *counted_runs)):
            where = f"{mine[0].spec.arch} ({one})"
            for line in render_comparison(where, pair[0][0], timed, counted_runs):
                click.echo(line)
    if cancellation.signal_number is not None:
        return exit_codes.SIGNAL + cancellation.signal_number
    return exit_codes.exit_code(results)
