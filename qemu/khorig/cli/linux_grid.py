# SPDX-License-Identifier: BSD-3-Clause
"""`khorig linux grid`"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Sequence

import click

from khorig.cli import exit_codes
from khorig.cli.linux import build_peers, chain_spec, count_option
from khorig.cli.qemu_arguments import HARDWARE
from khorig.cli.run_options import machines_of, run_options, without
from khorig.cli.session import run_session, session_options
from khorig.cli.types import check_pokes
from khorig.cli.verb import Verb
from khorig.guest.chain_run import ChainRun, is_linux, split_build, split_option
from khorig.guest.poke import Poke
from khorig.guest.spec import KHORIG, KHORIGS
from khorig.linux.chain_kind import chain_kind
from khorig.linux.grid.hops import Hops
from khorig.linux.peer import VERSIONS, build_command, find_peer, list_peers
from khorig.run.kernel_stops import with_probe
from khorig.vm.errors import InfraError
from khorig.vm.machines import Machine, machine_named

if TYPE_CHECKING:
    from khorig.run.result import RunResult

_BUILD_JOBS = 2  # of make; --jobs are runs
_PREFIX = "linux-"


@click.command(cls=Verb, takes_qemu=True, short_help="Hand over from every kernel to every kernel.")
@click.option(
    "--source",
    metavar="TREE",
    help="Source tree of a Linux to build and to put into the grid, or the name of a built peer.",
)
@click.option(
    "--against",
    default=",".join(VERSIONS),
    show_default=True,
    metavar="PEER,...",
    help="Built peers for the grid (7.3, linux-7.3@DMA_CMA; 'khorig linux list').",
)
@click.option(
    "--linux-append",
    multiple=True,
    metavar="[N:]OPTION",
    help="Append to the command line of every Linux, or of generation N in the chains where that "
    "is a Linux; repeatable.",
)
@count_option
@run_options(
    *("arch", "machine", "smp", "seed", "stops", "out", "keep", "append", "pokes"),
    *("jobs", "dry_run", "verbose", "json", *HARDWARE),
    mem="1G",
    timeout=300.0,
)
@without(
    tamper="not every pair has the same; see 'linux run'",
    boot="its chains begin with Linux, too",
    gdb="it is more than one run",
)
@click.pass_obj
def grid(extra_qemu: tuple[str, ...], source: str | None, against: str, **options: Any) -> int:
    """Hand over from every kernel to every kernel, khorig among them, in both directions: directly,
    with khorig in between, and back and forth over four hops. Print for each chain whether its
    handovers were accepted, refused cleanly, taken wrongly, or a kernel died.

    A source tree is built first, as 'linux build' does. Default machines: one of each architecture
    for which all peers are built.

    \b
      khorig linux grid                                7.3 and 7.2, both directions
      khorig linux grid --source ~/linux --machine q35
      khorig linux grid --source linux-7.3@DMA_CMA --against 7.3

    --poke and options for one generation plant a defect in those chains of the grid that have such
    a generation. The exit status is 1 when something was taken wrongly or a kernel died; a clean
    refusal is none of these.
    """
    people = sys.stderr if options["json"] else sys.stdout

    def report(line: str) -> None:
        click.echo(line, file=people)

    machines = machines_of(options["arch"], options["machine"])
    names = [_peer_name(name) for name in against.split(",")]
    is_tree = source is not None and Path(source).is_dir()
    if source is not None and not is_tree:
        names = [_peer_name(source), *names]
    if options["machine"] is None:
        machines = _with_peers(machines, names, report)
    if source is not None and is_tree:
        archs = tuple(dict.fromkeys(machine.arch for machine in machines))
        built = _build(Path(source), names, archs, options["dry_run"], report)
        names = [built, *names]
    kernels = [*dict.fromkeys(names), KHORIG]
    for machine in machines:
        for name in kernels[:-1]:
            find_peer(machine.arch, name)
    specs = _specs(kernels, machines, options, extra_qemu)
    return run_session(specs, chain_kind(), session_options(options), _summary, _status)


def _peer_name(word: str) -> str:
    """Raises UsageError for what can be no peer."""
    if word in KHORIGS:
        raise click.UsageError(f"{word} is in every grid; name peers of Linux only")
    name = word if word.startswith(_PREFIX) else _PREFIX + word
    known = {peer.name for peer in list_peers()} | {_PREFIX + version for version in VERSIONS}
    if split_build(name)[0] not in known:
        listed = ", ".join(sorted(known))
        raise click.UsageError(f"'{word}' is neither a folder nor a peer (there are {listed})")
    return name


def _with_peers(
    machines: Sequence[Machine], names: Sequence[str], report: Callable[[str], None]
) -> list[Machine]:
    """The machines of architectures for which all peers are built; the others are named. Raises
    InfraError when none is left."""
    left, fixes = [], []
    for machine in machines:
        missing = [name for name in names if not _is_built(machine.arch, name)]
        if not missing:
            left.append(machine)
        for name in missing:
            fixes.append(f"fix: {build_command(machine.arch, name)}")
            report(f"{machine.name} left out: {name} is not built for {machine.arch}; {fixes[-1]}")
    if not left:
        raise InfraError("no architecture has all peers of the grid", tuple(fixes))
    return left


def _is_built(arch: str, name: str) -> bool:
    try:
        find_peer(arch, name)
    except InfraError:
        return False
    return True


def _build(
    tree: Path,
    against: Sequence[str],
    archs: Sequence[str],
    dry_run: bool,
    report: Callable[[str], None],
) -> str:
    """Builds what is not built of the tree. Returns the name of its peers. Raises InfraError,
    UsageError."""
    from khorig.linux.build import only_builder
    from khorig.linux.source import OwnSource

    source = OwnSource(tree)
    if source.name in against:
        what = f"the peers of --source {tree} would be named {source.name} as one of --against"
        raise click.UsageError(f"{what}; rename the folder")
    if not dry_run:
        with only_builder(report):
            build_peers([source], archs, (), _BUILD_JOBS, report)
    return source.name


def _specs(
    kernels: Sequence[str],
    machines: Sequence[Machine],
    options: dict[str, Any],
    extra_qemu: tuple[str, ...],
) -> list[ChainRun]:
    """Raises UsageError, also for an option that no chain takes."""
    chains = [
        hops.chain(first, second)
        for first in kernels
        for second in kernels
        for hops in Hops
        if hops.applies(first, second)
    ]
    for name, fits in (("append", KHORIGS.__contains__), ("linux_append", is_linux)):
        for option in options[name]:
            if not any(_applies(option, chain, fits) for chain in chains):
                words = f"--{name.replace('_', '-')} '{option}'"
                raise click.UsageError(f"{words}: no chain of the grid has such a kernel there")
    specs = [_spec(options, chain, machine, extra_qemu) for machine in machines for chain in chains]
    _check_pokes(options["pokes"], specs)
    return specs


def _spec(
    options: dict[str, Any], chain: tuple[str, ...], machine: Machine, extra_qemu: tuple[str, ...]
) -> ChainRun:
    mine = {
        **options,
        "pokes": (),
        "append": [o for o in options["append"] if _applies(o, chain, KHORIGS.__contains__)],
        "linux_append": [o for o in options["linux_append"] if _applies(o, chain, is_linux)],
    }
    spec = chain_spec(mine, chain, machine, extra_qemu)
    pokes = tuple(poke for poke in options["pokes"] if _reaches(spec, poke))
    return dataclasses.replace(spec, pokes=pokes)


def _applies(option: str, chain: Sequence[str], fits: Callable[[str], bool]) -> bool:
    generation, _ = split_option(option)
    if generation is None:
        return any(map(fits, chain))
    return 1 <= generation <= len(chain) and fits(chain[generation - 1])


def _reaches(spec: ChainRun, poke: Poke) -> bool:
    if not 1 <= poke.generation <= spec.generations:
        return False
    probed = with_probe(spec, machine_named(spec.machine))
    is_last = poke.generation == spec.generations
    return poke.stop in probed.stops_of(poke.generation) and not (is_last and poke.stop == "sealed")


def _check_pokes(pokes: Sequence[Poke], specs: Sequence[ChainRun]) -> None:
    for poke in pokes:
        if not any(poke in spec.pokes for spec in specs):
            longest = max(specs, key=lambda spec: spec.generations)
            known = poke.generation <= longest.generations
            stops = longest.stops_of(poke.generation) if known else ()
            check_pokes((poke,), longest.generations, stops)
            raise click.UsageError(f"--poke {poke}: no chain of the grid stops there")


def _summary(results: Sequence[RunResult]) -> str:
    from khorig.linux.grid.grid import grids_of
    from khorig.out.grid_text import render_grids

    return render_grids(grids_of(results))


def _status(results: Sequence[RunResult]) -> int:
    """A clean refusal is no failure, and a hang dies as any other death."""
    from khorig.linux.grid.cell import judge_cell
    from khorig.linux.grid.outcome import Outcome

    others = [r for r in results if judge_cell(r).outcome is not Outcome.REFUSED]
    if not others:
        return exit_codes.PASS
    status = exit_codes.exit_code(others)
    if status == exit_codes.NOTHING_RAN and len(others) < len(results):
        return exit_codes.PASS
    return exit_codes.FAIL if status == exit_codes.HANG else status
