# SPDX-License-Identifier: BSD-3-Clause
"""`khorig linux selftests`"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Sequence

import click

from khorig.cli import exit_codes
from khorig.cli.linux import build_peers, chain_spec, count_option, fitting_machines
from khorig.cli.qemu_arguments import HARDWARE
from khorig.cli.run_options import machines_of, run_options, without
from khorig.cli.session import SessionOptions, run_session, session_options
from khorig.cli.verb import Verb
from khorig.guest.chain_run import ChainRun, is_linux
from khorig.guest.spec import RunSpec
from khorig.linux.chain_kind import chain_kind
from khorig.linux.peer import Peer, build_command, find_peer
from khorig.linux.selftest_outcome import KHO, STAGE, SelftestOutcome, Theirs, outcome_of
from khorig.linux.selftests import Selftests, selftests_of
from khorig.rules.finding import Verdict
from khorig.vm.errors import InfraError
from khorig.vm.machines import Machine

if TYPE_CHECKING:
    from khorig.run.result import RunResult

_BUILD_JOBS = 2  # of make
_MINE = "linux"  # in --chain: that of --source
_CHAIN = "linux-7.3,linux-7.3"


@click.command(cls=Verb, takes_qemu=True, short_help="Run Linux's own selftests of handovers.")
@click.option(
    "--chain",
    metavar="KERNEL,...",
    help="Kernels in boot order, as in 'linux run': a Linux at each end, only khorig in between. "
    f"[default: {_CHAIN}, or with --source linux,linux]",
)
@click.option(
    "--source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="TREE",
    help="Source tree of a Linux to build; 'linux' in --chain.",
)
@click.option(
    "--test",
    "tests",
    multiple=True,
    metavar="NAME",
    help="Only this selftest; repeatable.  [default: all that the tree of the first kernel has]",
)
@click.option(
    "--linux-append",
    multiple=True,
    metavar="[N:]OPTION",
    help="Append to the command line of every Linux, or of generation N; repeatable.",
)
@count_option
@run_options(
    *("arch", "machine", "smp", "seed", "stops", "out", "keep", "append", "pokes"),
    *("jobs", "dry_run", "verbose", "json", *HARDWARE),
    mem="1G",
    timeout=300.0,
)
@without(
    tamper="a kernel that refuses runs no selftest",
    boot="a Linux comes first",
    gdb="it is more than one run",
)
@click.pass_obj
def selftests(
    extra_qemu: tuple[str, ...],
    chain: str | None,
    source: Path | None,
    tests: tuple[str, ...],
    **options: Any,
) -> int:
    """Run the tests of tools/testing/selftests/kho and .../liveupdate in the tree of the first
    kernel, and print their verdict beside the rig's on the same handover.

    \b
      khorig linux selftests                           7.3 to 7.3, both architectures
      khorig linux selftests --source ~/linux --machine q35
      khorig linux selftests --chain linux-7.2,khorig,linux-7.3 --test luo_multi_session

    A test with stages runs its first in the first kernel and its second in the last, with the rig's
    user space in place of their init.c. `kho` is what the module test_kho says. The line of the
    console that their scripts grep for is printed below each. The exit status is 1 when either of
    the two verdicts on a test is bad.
    """
    people = sys.stderr if options["json"] else sys.stdout

    def report(line: str) -> None:
        click.echo(line, file=people)

    chosen = machines_of(options["arch"], options["machine"])
    names = _names(chain, source)
    machines = fitting_machines(names, chosen, {})
    if source is not None:
        built = _build(source, machines, options["dry_run"], report)
        names = [built if name == _MINE else name for name in names]
    if options["machine"] is None:
        machines = _with_peer(machines, names[0], report)
    runs: list[tuple[Machine, tuple[str, ...]]] = []
    missing: list[str] = []
    for machine in machines:
        peer = find_peer(machine.arch, names[0])
        known = selftests_of(peer)
        missing += [f"{machine.arch}: {text}" for text in known.not_built]
        generations = len(names)
        runs += [(machine, run) for run in _programs(peer, known, tests, generations)]
    specs = [
        chain_spec({**options, "run": run}, tuple(names), machine, extra_qemu)
        for machine, run in runs
    ]

    session = session_options(options)
    results: list[RunResult] = []
    status = run_session(specs, chain_kind(), session, _kept(results), _status)
    if not options["dry_run"] and status < exit_codes.SIGNAL:
        _print_outcomes(results, missing, session, report)
    return status


def _kept(results: list[RunResult]) -> Callable[[Sequence[RunResult]], str]:
    def keep(found: Sequence[RunResult]) -> str:
        results.extend(found)
        return ""

    return keep


def _print_outcomes(
    results: Sequence[RunResult],
    not_built: Sequence[str],
    session: SessionOptions,
    report: Callable[[str], None],
) -> None:
    """A test that the rig stopped, because of what it saw in memory, is run once more to hear what
    the test says."""
    from khorig.out.selftests_text import render_selftests, selftests_ktap
    from khorig.out.text import relative
    from khorig.run.artifacts import write_whole

    outcomes = [outcome_of(result) for result in results]
    cut = [n for n, outcome in enumerate(outcomes) if _is_cut(outcome)]
    if cut:
        report(f"again without the rig's stops: {', '.join(outcomes[n].name for n in cut)}")
        again: list[RunResult] = []
        specs = [_undisturbed(results[n].spec) for n in cut]
        quiet = dataclasses.replace(session, json=False, record=False, keep=False)
        run_session(specs, chain_kind(), quiet, _kept(again))
        for n, result in zip(cut, again):
            outcomes[n] = outcomes[n].heard(result)
    report(render_selftests(results, outcomes, not_built))
    if (done := next((result for result in results if result.directory), None)) is not None:
        folder = Path(done.directory.removesuffix(done.id))
        write_whole(folder / "selftests.ktap", selftests_ktap(results, outcomes))
        report(f"ktap     {relative(folder)}/selftests.ktap")


def _is_cut(outcome: SelftestOutcome) -> bool:
    return outcome.theirs is Theirs.NOT_RUN and outcome.ours is Verdict.FAIL


def _undisturbed(spec: RunSpec) -> ChainRun:
    """The same run with no stop but those at which bytes are changed."""
    assert isinstance(spec, ChainRun)
    pokes = {poke.stop for poke in spec.pokes}
    return dataclasses.replace(spec, stops=tuple(s for s in spec.stops if s in pokes))


def _names(chain: str | None, source: Path | None) -> list[str]:
    """The chain. Raises UsageError."""
    if chain is None:
        return [_MINE, _MINE] if source is not None else _CHAIN.split(",")
    names = chain.split(",")
    if (_MINE in names) != (source is not None):
        raise click.UsageError(f"--chain {chain}: '{_MINE}' in it is the tree of --source")
    if len(names) < 2 or not is_linux(names[0]) or not is_linux(names[-1]):
        raise click.UsageError(f"--chain {chain}: a selftest needs a Linux at each end")
    if any(map(is_linux, names[1:-1])):
        raise click.UsageError(f"--chain {chain}: a Linux in between drops the sessions")
    if "/" in names[0]:
        raise click.UsageError(f"--chain {chain}: an image has no selftests; name a peer first")
    return names


def _build(
    tree: Path, machines: Sequence[Machine], dry_run: bool, report: Callable[[str], None]
) -> str:
    """Builds what is not built of the tree. Returns the name of its peers. Raises InfraError."""
    from khorig.linux.build import only_builder
    from khorig.linux.source import OwnSource

    source = OwnSource(tree)
    if not dry_run:
        archs = tuple(dict.fromkeys(machine.arch for machine in machines))
        with only_builder(report):
            build_peers([source], archs, (), _BUILD_JOBS, report)
    return source.name


def _with_peer(
    machines: Sequence[Machine], name: str, report: Callable[[str], None]
) -> list[Machine]:
    """The machines for whose architecture the peer is built; the others are named. Raises
    InfraError when none is left."""
    left, fixes = [], []
    for machine in machines:
        try:
            find_peer(machine.arch, name)
        except InfraError as error:
            fixes.append(f"fix: {build_command(machine.arch, name)}")
            report(f"{machine.name} left out: {error.what}; {fixes[-1]}")
        else:
            left.append(machine)
    if not left:
        raise InfraError(f"{name} is built for no architecture", tuple(fixes))
    return left


def _programs(
    peer: Peer, known: Selftests, only: Sequence[str], generations: int
) -> list[tuple[str, ...]]:
    """The --run of each selftest. Raises UsageError."""
    runs: dict[str, tuple[str, ...]] = {KHO: ()} if known.has_kho else {}
    for name in (*known.once, *known.staged):
        program = shlex.quote(str(peer.selftests / name))
        if name in known.once:
            runs[name] = (f"1:{program}",)
        else:
            runs[name] = (f"1:{program} {STAGE} 1", f"{generations}:{program} {STAGE} 2")
    for name in only:
        if name not in runs:
            there = ", ".join(runs) or "none"
            raise click.UsageError(f"--test {name}: {peer.short} has {there}")
    return [run for name, run in runs.items() if not only or name in only]


def _status(results: Sequence[RunResult]) -> int:
    """A program that fails and a handover that is broken count the same."""
    status = exit_codes.exit_code(results)
    bad = any(not outcome_of(result).is_good for result in results)
    return exit_codes.FAIL if bad and status == exit_codes.PASS else status
