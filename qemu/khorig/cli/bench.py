# SPDX-License-Identifier: BSD-3-Clause
"""`khorig bench`"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from khorig import exit_codes
from khorig.artifacts import default_out
from khorig.cli.types import NameOf, Size
from khorig.machines import DEFAULT_MACHINES, MACHINES
from khorig.model import RunResult, RunSpec, Verdict


@click.group(short_help="Measure.")
def bench() -> None:
    """Measure."""


@bench.command(
    short_help="Linux's own handover test and khorig's, side by side.",
    context_settings={"auto_envvar_prefix": "KHORIG"},
)
@click.option("--version", default="7.3", show_default=True, help="Of the Linux peer.")
@click.option("--machine", type=NameOf("machine", lambda: [m.name for m in MACHINES]),
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
    """Run Linux's own handover test (test_kho over 8 MiB) and khorig's on the same QEMU, one after the
    other in turns, and print the ratio of wall time and of virtual time: one nanosecond for
    each instruction, and what the guest waits."""
    from khorig.cancellation import Cancellation
    from khorig.cli.output import renderer_for
    from khorig.linux.comparison import cost_of, render_comparison
    from khorig.linux.judge import LinuxJudge
    from khorig.session import Session

    cancellation = Cancellation()
    cancellation.install()
    renderers = [renderer_for(sys.stderr, False)]
    session = Session(
        out or default_out(), LinuxJudge, lambda spec: (), cancellation, renderers, record=False
    )
    name = f"linux-{version}"
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
        )
        for one in machine
        for _ in range(rounds)
        for kernels in ((name, name), ("khorig", "khorig"))
    ]
    results = session.run_all(specs)
    passed = [result for result in results if result.verdict is Verdict.PASS]
    for one in machine:
        costs = {
            kernels: [cost_of(r) for r in passed if _is(r, one, kernels)]
            for kernels in ((name, name), ("khorig", "khorig"))
        }
        theirs, ours = costs.values()
        if theirs and ours:
            arch = next(m.arch for m in MACHINES if m.name == one)
            click.echo("\n".join(render_comparison(f"{arch} ({one})", theirs, ours, name)))
    if cancellation.signal_number is not None:
        return exit_codes.SIGNAL + cancellation.signal_number
    return exit_codes.exit_code(results)


def _is(result: RunResult, machine: str, kernels: tuple[str, ...]) -> bool:
    return result.spec.machine == machine and result.spec.kernels == kernels
