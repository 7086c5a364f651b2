# SPDX-License-Identifier: BSD-3-Clause
"""`khorig bench linux --source`: what handovers of a Linux cost, over what is handed over."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence

import click

from khorig.cli import exit_codes
from khorig.cli.linux import build_peers
from khorig.cli.qemu_arguments import check_qemu_arguments
from khorig.cli.session import run_session, session_options
from khorig.guest.chain_run import ChainRun, split_build
from khorig.linux.chain import must_count
from khorig.linux.chain_kind import chain_kind
from khorig.linux.cost.judgement import DEAREST, STEEPEST
from khorig.linux.cost.kind import DEFAULT_LIMIT, MOST, Kind
from khorig.linux.cost.memory import MetadataHook
from khorig.linux.peer import VERSIONS, Peer, build_command, find_peer, list_peers, pinned
from khorig.rules.finding import Verdict
from khorig.run.artifacts import write_whole
from khorig.run.kernel_stops import why_no_probe
from khorig.vm.errors import InfraError
from khorig.vm.machines import Machine, machine_named

if TYPE_CHECKING:
    from khorig.linux.cost.point import Point
    from khorig.run.result import RunResult

OPTIONS = ("against", "kinds", "limit", "exponent", "ratio", "count")  # need --source
COMPARISON = ("linux_version", "rounds")  # do not go with it
_BUILD_JOBS = 2  # of make
_PREFIX = "linux-"


def cost_options(command: Any) -> Any:
    """Adds the options of the measurement."""
    from khorig.cli.types import NameOf

    for option in reversed(
        (
            click.option(
                "--source",
                metavar="TREE",
                help="Measure handovers of this Linux to itself: a source tree to build, or the "
                "name of a built peer (7.3, linux-7.3@DMA_CMA).",
            ),
            click.option(
                "--against", metavar="TREE", help="Another one, to compare that of --source with."
            ),
            click.option(
                "--kind",
                "kinds",
                type=NameOf("kind", lambda: tuple(kind.value for kind in Kind)),
                help="What is handed over, with --source.  [default: all]",
            ),
            click.option(
                "--limit",
                type=click.IntRange(1, MOST),
                default=DEFAULT_LIMIT,
                show_default=True,
                help="Hand over 1, 10, ... up to this number, with --source.",
            ),
            click.option(
                "--exponent",
                type=click.FloatRange(1.0),
                default=STEEPEST,
                show_default=True,
                help="Flag a cost that grows faster than N to this power, with --source.",
            ),
            click.option(
                "--ratio",
                type=click.FloatRange(1.0),
                default=DEAREST,
                show_default=True,
                help="Flag a cost that is more than so many times that of --against.",
            ),
            click.option(
                "--count",
                is_flag=True,
                help="Count virtual time in instructions (-icount), with --source: as many timer "
                "interrupts in every run, at several times the wall time.",
            ),
        )
    ):
        command = option(command)
    return command


def check_options(context: click.Context, has_source: bool) -> None:
    """Raises UsageError for options of the other comparison."""
    for name in COMPARISON if has_source else OPTIONS:
        source = context.get_parameter_source(name)
        if source is click.core.ParameterSource.COMMANDLINE:
            option = next(p.opts[0] for p in context.command.params if p.name == name)
            what = "does not go with --source" if has_source else "needs --source"
            raise click.UsageError(f"{option} {what}")


def measure(
    extra_qemu: tuple[str, ...], machines: Sequence[Machine], options: Mapping[str, Any]
) -> int:
    """Does the runs, prints the tables, and leaves cost.json and cost.svg beside the results.
    Raises InfraError, UsageError."""

    def report(line: str) -> None:
        click.echo(line, file=sys.stderr)

    words = [options["source"], *([options["against"]] if options["against"] else [])]
    archs = tuple(dict.fromkeys(machine.arch for machine in machines))
    names = [_peer_name(word, archs, options["dry_run"], report) for word in words]
    if len(set(names)) < len(names):
        raise click.UsageError(f"--against {options['against']}: the same as --source")
    kinds = [kind for kind in Kind if options["kinds"] is None or kind.value in options["kinds"]]
    planned = [
        _Planned(name, kind, size, _peer(machine, name), machine)
        for machine in _with_peers(machines, names, options["machine"] is not None, report)
        for kind in kinds
        for size in kind.sizes(options["limit"])
        for name in names
    ]
    specs = [plan.spec(options, extra_qemu) for plan in planned]
    for spec in specs:
        check_qemu_arguments(spec)
        if why := why_no_probe(spec, machine_named(spec.machine)):
            raise InfraError(f"nothing counts instructions on {spec.machine}: {why}")
    bounds = (options["exponent"], options["ratio"])
    worse: list[bool] = []

    def summary(results: Sequence[RunResult]) -> str:
        points = [plan.point(result) for plan, result in zip(planned, results)]
        text, is_worse = _finish(names, points, results, bounds)
        worse.append(is_worse)
        return text

    status = run_session(
        specs,
        chain_kind(hooks=lambda spec: (MetadataHook(spec),)),
        dataclasses.replace(session_options(options, record=False), people=sys.stderr),
        summary,
    )
    return exit_codes.FAIL if status == exit_codes.PASS and any(worse) else status


@dataclasses.dataclass(frozen=True)
class _Planned:
    """A run to come."""

    name: str
    kind: Kind
    size: int
    peer: Peer
    machine: Machine

    def spec(self, options: Mapping[str, Any], extra_qemu: tuple[str, ...]) -> ChainRun:
        from khorig.linux.cost.program import build_program, measured

        kernel = pinned(self.machine.arch, self.name)
        plain = ChainRun(
            arch=self.machine.arch,
            machine=self.machine.name,
            memory=options["mem"],
            smp=options["smp"],
            seed=options["seed"],
            timeout_s=options["timeout"],
            kernels=(kernel, kernel),
            extra_qemu=extra_qemu,
            counted=options["count"] or must_count(self.machine.name),
        )
        return measured(plain, self.kind, self.size, build_program(self.peer))

    def point(self, result: RunResult) -> Point:
        from khorig.linux.cost.point import read_point
        from khorig.run.marks import marks_of

        spec = result.spec
        elves = {spec.kernel_of(1): self.peer.symbols}
        marks = {n: at for found in marks_of(spec, elves).values() for n, at in found.items()}
        return read_point(result, self.name, self.kind, self.size, marks)


def _finish(
    names: Sequence[str],
    points: Sequence[Point],
    results: Sequence[RunResult],
    bounds: tuple[float, float],
) -> tuple[str, bool]:
    from khorig.linux.cost.measurement import Measurement
    from khorig.out.cost_plot import draw_costs
    from khorig.out.cost_text import render_costs
    from khorig.out.text import relative

    other = names[1] if len(names) > 1 else ""
    measurement = Measurement(names[0], other, tuple(points), *bounds)
    lines = [render_costs(measurement)]
    done = next((r for r in results if r.directory and r.verdict is not Verdict.SKIP), None)
    if done is not None:
        folder = Path(done.directory.removesuffix(done.id))
        write_whole(folder / "cost.json", json.dumps(measurement.json(), indent=1) + "\n")
        write_whole(folder / "cost.svg", draw_costs(measurement))
        lines.append(f"costs    {relative(folder)}/cost.json  cost.svg")
    return "\n".join(lines), measurement.is_worse


def _peer_name(
    word: str, archs: Sequence[str], dry_run: bool, report: Callable[[str], None]
) -> str:
    """Of a built peer, or of those of a tree, which are built. Raises UsageError, InfraError."""
    if Path(word).is_dir():
        from khorig.linux.build import only_builder
        from khorig.linux.source import OwnSource

        source = OwnSource(Path(word))
        if not dry_run:
            with only_builder(report):
                build_peers([source], archs, (), _BUILD_JOBS, report)
        return source.name
    name = word if word.startswith(_PREFIX) else _PREFIX + word
    known = {peer.name for peer in list_peers()} | {_PREFIX + version for version in VERSIONS}
    known |= {peer.short for peer in list_peers()}
    if split_build(name)[0] not in known:
        listed = ", ".join(sorted(known))
        raise click.UsageError(f"'{word}' is neither a folder nor a peer (there are {listed})")
    return name


def _peer(machine: Machine, name: str) -> Peer:
    peer = find_peer(machine.arch, name)
    if not peer.symbols.is_file():
        raise InfraError(f"{peer.short}: no vmlinux, so nobody knows where to count")
    return peer


def _with_peers(
    machines: Sequence[Machine], names: Sequence[str], named: bool, report: Callable[[str], None]
) -> list[Machine]:
    """The machines for which all peers are built; the others are named, and if the user named them
    are an error. Raises InfraError."""
    left: list[Machine] = []
    fixes: list[str] = []
    for machine in machines:
        try:
            for name in names:
                find_peer(machine.arch, name)
        except InfraError as error:
            if named:
                raise
            fixes.append(f"fix: {build_command(machine.arch, name)}")
            report(f"{machine.name} left out: {error.what}; {fixes[-1]}")
        else:
            left.append(machine)
    if not left:
        raise InfraError("no architecture has all peers", tuple(fixes))
    return left
