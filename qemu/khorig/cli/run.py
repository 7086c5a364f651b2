# SPDX-License-Identifier: BSD-3-Clause
"""`khorig run`"""

from __future__ import annotations

import itertools
import sys
from typing import Any

import click

from khorig.cli.appended import check_run_options
from khorig.cli.near import unknown
from khorig.cli.qemu_arguments import check_qemu_arguments
from khorig.cli.types import NameOf, OutFolder, PokeOf, Seconds, Seed, Size, StopsOf, check_pokes
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.spec import BOOTS
from khorig.run.faults import FAULTS
from khorig.run.sequence import STOPS
from khorig.run.tamper.runs import known_tamperings, tampered
from khorig.vm.build_outputs import find_elf
from khorig.vm.machines import ARCHITECTURES, DEFAULT_MACHINES, MACHINES, Machine


@click.command(
    short_help="Run scenarios and print a verdict for each.",
    context_settings={"auto_envvar_prefix": "KHORIG"},
)
@click.option(
    "--arch",
    type=NameOf("arch", lambda: ARCHITECTURES),
    help="Only machines of these architectures.",
)
@click.option(
    "--machine",
    type=NameOf("machine", lambda: (*(m.name for m in MACHINES), "all")),
    help=f"Machines, with commas, or 'all'.  [default: {','.join(DEFAULT_MACHINES)}]",
)
@click.option(
    "--boot",
    type=NameOf("boot", lambda: BOOTS),
    default=KhorigRun.boot,
    show_default=True,
    help="How the first kernel is started: direct by QEMU, uefi by firmware; or both, with a comma.",
)
@click.option(
    "--scenario",
    multiple=True,
    default=["handover"],
    show_default=True,
    help="What the guest does; may be repeated. 'khorig list' knows them all.",
)
@click.option(
    "--generations",
    type=click.IntRange(1, 1 << 20),
    default=KhorigRun.generations,
    show_default=True,
    help="Kernels in a row, the first included.",
)
@click.option(
    "--smp",
    type=click.IntRange(1, 255),
    default=KhorigRun.smp,
    show_default=True,
    help="CPUs of the guest; it uses at most 64.",
)
@click.option("--mem", type=Size(), default="256M", show_default=True, help="RAM of the guest.")
@click.option(
    "--seed",
    type=Seed(),
    default=f"{KhorigRun.seed:#x}",
    show_default=True,
    help="Decides every random choice; 'random' picks one.",
)
@click.option(
    "--fault",
    type=NameOf("fault", lambda: tuple(FAULTS)),
    help="A deliberate defect of the kernel.",
)
@click.option(
    "--tamper",
    type=NameOf("tampering", lambda: (*known_tamperings(), "all")),
    help="How the host damages what scenario 'refuse' hands over.  [default: all]",
)
@click.option(
    "--poke",
    "pokes",
    multiple=True,
    type=PokeOf(STOPS),
    help="Flip a bit of one byte at a stop, after the host has looked; may be repeated. The owner "
    "as 'inspect --owners' names it.",
)
@click.option(
    "--stops",
    type=StopsOf(STOPS),
    default=",".join(KhorigRun.stops),
    show_default=True,
    help="Where the host looks at guest memory.",
)
@click.option(
    "--append",
    multiple=True,
    metavar="NAME=VALUE",
    help="More of the guest's command line; may be repeated.",
)
@click.option(
    "--timeout",
    type=Seconds(),
    default=KhorigRun.timeout_s,
    show_default=True,
    help="Seconds that the guest of one run may take.",
)
@click.option(
    "--out",
    type=OutFolder(),
    help="Folder for artifacts.  [default: out]",
)
@click.option("--keep", is_flag=True, help="Keep guest RAM at every stop even when a run passes.")
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Runs side by side.",
)
@click.option("--verbose", "-v", is_flag=True, help="Show the guest's console as it comes.")
@click.option("--json", is_flag=True, help="Print results.json; everything else to stderr.")
@click.pass_obj
def run(extra_qemu: tuple[str, ...], **options: Any) -> int:
    """Boot, hand over and check, once for each machine and scenario.

    \b
    What follows '--' goes to QEMU. Each run leaves its console, events, QEMU's arguments and words,
    and its verdict in a folder below out/latest; a failed one guest RAM at every stop, too.

    \b
      khorig run --machine all --mem 128M
      khorig run --scenario chain --generations 100 --machine virt
      khorig run --scenario handover --append megabytes=128 --keep
      khorig run --poke 1:sealed:khorig/stores/blocks+0x10
      khorig run --machine q35 -- -d int,cpu_reset -D qemu.log
    """
    specs = _specs(options, extra_qemu)
    return _session(specs, options)


def _machines(archs: tuple[str, ...] | None, names: tuple[str, ...] | None) -> list[Machine]:
    everything = names is not None and "all" in names
    wanted = DEFAULT_MACHINES if names is None else names
    chosen = [
        machine
        for machine in MACHINES
        if (everything or machine.name in wanted) and (archs is None or machine.arch in archs)
    ]
    if not chosen:
        text = f"{','.join(names or ())} is not a machine of {','.join(archs or ())}"
        raise click.UsageError(text)
    return chosen


def _specs(options: dict[str, Any], extra_qemu: tuple[str, ...]) -> list[KhorigRun]:
    check_run_options(options["append"])
    machines = _machines(options["arch"], options["machine"])
    refusing = _check_scenarios({machine.arch for machine in machines}, options)
    faults = options["fault"] or (None,)
    specs = []
    for scenario in options["scenario"]:
        tampers = _tampers(options["tamper"]) if scenario in refusing else (None,)
        choices = itertools.product(machines, options["boot"], faults, tampers)
        for machine, boot, fault, tamper in choices:
            spec = KhorigRun(
                arch=machine.arch,
                machine=machine.name,
                scenario=scenario,
                generations=options["generations"],
                memory=options["mem"],
                smp=options["smp"],
                seed=options["seed"],
                timeout_s=options["timeout"],
                fault=fault,
                boot=boot,
                pokes=options["pokes"],
                stops=options["stops"],
                extra_options=options["append"],
                extra_qemu=extra_qemu,
            )
            check_qemu_arguments(spec)
            specs.append(tampered(spec, tamper) if tamper else spec)
            check_pokes(spec.pokes, specs[-1].generations, spec.stops)
    return specs


def _tampers(names: tuple[str, ...] | None) -> tuple[str, ...]:
    return known_tamperings() if names is None or "all" in names else names


def _check_scenarios(archs: set[str], options: dict[str, Any]) -> set[str]:
    """Raises UsageError for a scenario that a kernel lacks. Returns those that are there to refuse
    a damaged handover."""
    from khorig.run.scenarios import read_scenarios

    refusing = set()
    for arch in archs:
        known = {scenario.name: scenario for scenario in read_scenarios(find_elf(arch))}
        for name in options["scenario"]:
            if name not in known:
                raise unknown("scenario", name, known)
            if known[name].expects_refusal:
                refusing.add(name)
            elif options["tamper"]:
                text = f"scenario '{name}' does not expect a damaged handover; 'refuse' does"
                raise click.UsageError(text)
    return refusing


def _session(specs: list[KhorigRun], options: dict[str, Any]) -> int:
    from khorig.cli.session import SessionOptions, run_session
    from khorig.run.khorig_kind import khorig_kind

    chosen = SessionOptions(
        out=options["out"],
        people=sys.stderr if options["json"] else sys.stdout,
        verbose=options["verbose"],
        json=options["json"],
        keep=options["keep"],
        jobs=options["jobs"],
    )
    return run_session(specs, khorig_kind(), chosen)
