# SPDX-License-Identifier: BSD-3-Clause
"""`khorig run`"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any, Sequence

import click

from khorig.cli.appended import check_run_options
from khorig.cli.qemu_arguments import HARDWARE, check_qemu_arguments, hardware_of
from khorig.cli.run_options import ALL, machines_of, run_options, with_page_sizes
from khorig.cli.session import run_session, session_options
from khorig.cli.suggest import unknown
from khorig.cli.types import NameOf, check_pokes
from khorig.cli.verb import Verb
from khorig.guest.khorig_run import KhorigRun
from khorig.run.faults import known_faults
from khorig.run.tamper.runs import known_tamperings, tampered
from khorig.vm.build_outputs import find_elf

if TYPE_CHECKING:
    from khorig.run.scenarios import ScenarioInfo


_MEMORY_64K = 4 << 30  # bytes


@click.command(cls=Verb, takes_qemu=True, short_help="Run scenarios and print a verdict for each.")
@click.option(
    "--scenario",
    multiple=True,
    default=["handover"],
    show_default=True,
    help="What the guest does; repeatable. 'khorig list' has them all.",
)
@click.option(
    "--generations",
    type=click.IntRange(1, 1 << 20),
    default=KhorigRun.generations,
    show_default=True,
    help="Number of kernels, the first included.",
)
@click.option(
    "--fault",
    type=NameOf("fault", lambda: tuple(known_faults())),
    help="A deliberate defect of the kernel.",
)
@run_options(
    *("arch", "machine", "boot", "smp", "mem", "page_size", "seed", "pokes", "stops", "append"),
    *("timeout", *HARDWARE),
    *("out", "keep", "jobs", "gdb", "dry_run", "verbose", "json"),
    tamper=known_tamperings,
)
@click.pass_obj
def run(extra_qemu: tuple[str, ...], **options: Any) -> int:
    """Boot, hand over and check, once for each machine and scenario.

    \b
    Arguments after '--' go to QEMU. Each run leaves its console, events, QEMU's arguments and
    stderr, and its verdict in a folder below out/latest; failed runs also keep guest RAM at every
    stop.

    \b
      khorig run --machine all --mem 128M
      khorig run --scenario chain --generations 100 --machine virt
      khorig run --scenario handover --append megabytes=128 --keep
      khorig run --poke 1:sealed:khorig/stores/blocks+0x10
      khorig run --machine q35 --gdb
      khorig run --machine q35 -- -d int,cpu_reset -D qemu.log
    """
    from khorig.run.khorig_kind import khorig_kind

    return run_session(_specs(options, extra_qemu), khorig_kind(), session_options(options))


def specs_of(words: Sequence[str]) -> list[KhorigRun]:
    """The runs that these arguments of `khorig run` ask for. Raises UsageError, InfraError."""
    at = words.index("--") if "--" in words else len(words)
    extra = tuple(words[at + 1 :])
    with run.make_context("run", list(words[:at]), obj=extra) as context:
        return _specs(context.params, extra)


def _specs(options: dict[str, Any], extra_qemu: tuple[str, ...]) -> list[KhorigRun]:
    from khorig.rules.protocol.scenario import words_of

    check_run_options(options["append"])
    machines = machines_of(options["arch"], options["machine"])
    machines = with_page_sizes(options["page_sizes"], machines)
    known = _check_scenarios({machine.arch for machine in machines}, options)
    refusing = {name for name, scenario in known.items() if scenario.expects_refusal}
    faults = options["fault"] or (None,)
    mixed = len(options["page_sizes"]) > 1
    specs = []
    for scenario in options["scenario"]:
        tampers = _tampers(options["tamper"]) if scenario in refusing and not mixed else (None,)
        choices = itertools.product(machines, options["boot"], faults, tampers)
        for machine, boot, fault, tamper in choices:
            hardware = hardware_of(options, machine)
            spec = KhorigRun(
                arch=machine.arch,
                machine=machine.name,
                scenario=scenario,
                plays=words_of(scenario),
                generations=options["generations"],
                memory=_memory(options),
                smp=options["smp"],
                seed=options["seed"],
                timeout_s=options["timeout"],
                fault=fault,
                page_sizes=options["page_sizes"],
                boot=boot,
                pokes=options["pokes"],
                stops=_stops(options["stops"], extra_qemu),
                extra_options=options["append"],
                extra_qemu=extra_qemu,
                counted=hardware["accel"] == "tcg",
                **hardware,
            )
            check_qemu_arguments(spec)
            if scenario in known:
                spec = _with_needs(spec, known[scenario])
            specs.append(_refusing(spec, tamper, mixed))
            check_pokes(spec.pokes, specs[-1].generations, spec.stops)
    return specs


def _memory(options: dict[str, Any]) -> int:
    """Bytes of RAM. A scratch area of a kernel with pages of 64 KiB has 512 MiB, and there are
    three."""
    chosen = click.get_current_context().get_parameter_source("mem")
    large = "64K" in options["page_sizes"] and chosen is click.core.ParameterSource.DEFAULT
    return _MEMORY_64K if large else int(options["mem"])


def _refusing(spec: KhorigRun, tamper: str | None, mixed: bool) -> KhorigRun:
    """The run with the refusal that is expected of it. It ends with the generation that refuses,
    because the next kernel was in the handover."""
    if mixed:
        return dataclasses.replace(spec.first(2), expected_refusals={2: "page-size"})
    return tampered(spec, tamper) if tamper else spec


def _stops(chosen: tuple[str, ...], extra_qemu: Sequence[str]) -> tuple[str, ...]:
    """A device may write late: unless stops were chosen, the host looks again for that."""
    is_default = chosen == KhorigRun.stops
    return (*chosen, "settled") if is_default and "-device" in extra_qemu else chosen


def _tampers(names: tuple[str, ...] | None) -> tuple[str, ...]:
    return known_tamperings() if names is None or ALL in names else names


def _with_needs(spec: KhorigRun, scenario: ScenarioInfo) -> KhorigRun:
    from khorig.run.needs import UnmetNeed, with_needs

    try:
        return with_needs(spec, scenario.needs)
    except UnmetNeed as error:
        raise click.UsageError(str(error)) from error


def _check_scenarios(archs: set[str], options: dict[str, Any]) -> dict[str, ScenarioInfo]:
    """Returns the chosen scenarios that kernels have. Raises UsageError for one that a kernel
    lacks."""
    from khorig.rules.protocol.scenario import SCENARIOS
    from khorig.run.scenarios import read_scenarios

    mixed = len(options["page_sizes"]) > 1
    if mixed and options["tamper"]:
        raise click.UsageError("--tamper: kernels of two page sizes refuse anyway")
    chosen = {}
    for arch in archs:
        known = {scenario.name: scenario for scenario in read_scenarios(find_elf(arch))}
        for name in options["scenario"]:
            if name in SCENARIOS and name not in known:
                continue
            if name not in known:
                raise unknown("scenario", name, [*known, *SCENARIOS])
            chosen[name] = known[name]
            if (options["tamper"] or mixed) and not known[name].expects_refusal:
                option = "--page-size" if mixed else "--tamper"
                text = f"{option}: scenario '{name}' does not expect a refusal; use 'refuse'"
                raise click.UsageError(text)
    return chosen
