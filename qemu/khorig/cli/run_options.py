# SPDX-License-Identifier: BSD-3-Clause
"""The options of every verb that runs guests. One that two verbs have means the same in both, is
read in the same way, and differs in nothing but its default."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence, TypeVar

import click

from khorig.cli.types import (
    GdbPort,
    NameOf,
    OutFolder,
    PageSizes,
    PokeOf,
    Seconds,
    Seed,
    Size,
    Sizes,
    StopsOf,
)
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.spec import ACCELERATORS, BOOTS, PAGE_SIZES, RunSpec
from khorig.run.sequence import STOPS
from khorig.vm.machines import ARCHITECTURES, DEFAULT_MACHINES, MACHINES, Machine

ALL = "all"
DEFAULT_GDB_PORT = 1234  # as QEMU's -s has it

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Decorator = Callable[[Any], Any]


def _jobs() -> _Decorator:
    return click.option(
        "--jobs",
        "-j",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Number of runs at a time.",
    )


def _flag(*names: str, text: str) -> Callable[[], _Decorator]:
    return lambda: click.option(*names, is_flag=True, help=text)


def _one(*names: str, text: str, **settings: Any) -> Callable[..., _Decorator]:
    """An option whose default the verb may choose; None for one that depends on the run."""

    def make(*default: Any) -> _Decorator:
        values = {**settings, "default": default[0]} if default else settings
        shown = values.get("default") not in (None, ())
        return click.option(*names, help=text, show_default=shown, **values)

    return make


# By name, in the order that the help has them.
_OPTIONS: Mapping[str, Callable[..., _Decorator]] = {
    "arch": _one(
        "--arch", type=NameOf("arch", lambda: ARCHITECTURES), text="Only these architectures."
    ),
    "machine": _one(
        "--machine",
        type=NameOf("machine", lambda: (*(m.name for m in MACHINES), ALL)),
        text=f"Machines, comma-separated, or 'all'.  [default: {','.join(DEFAULT_MACHINES)}]",
    ),
    "boot": _one(
        "--boot",
        type=NameOf("boot", lambda: BOOTS),
        default=RunSpec.boot,
        text="How the first kernel, which is khorig, starts: direct (QEMU's -kernel) or uefi "
        "(firmware); comma-separated for both.",
    ),
    "smp": _one(
        "--smp",
        type=click.IntRange(1, 255),
        default=RunSpec.smp,
        text="CPUs of the guest; khorig brings up at most 64.",
    ),
    "mem": _one("--mem", type=Size(), default="256M", text="RAM of the guest."),
    "numa": _one(
        "--numa",
        type=Sizes(),
        default=(),
        text="RAM of each NUMA node, in order, together --mem; 0 for a node without memory.",
    ),
    "page_size": _one(
        "--page-size",
        "page_sizes",
        type=PageSizes(),
        default=PAGE_SIZES[0],
        text="Page size of khorig's kernels on arm64: 4K, 16K or 64K. Two, comma-separated: of the "
        "first kernel, and of all later ones, which refuse its handover.",
    ),
    "seed": _one(
        "--seed",
        type=Seed(),
        default=f"{RunSpec.seed:#x}",
        text="Seed of every random choice; 'random' picks one.",
    ),
    "tamper": lambda known: click.option(
        "--tamper",
        type=NameOf("tampering", lambda: (*known(), ALL)),
        help="Corrupt the first handover, comma-separated or 'all'; the next kernel must refuse it "
        "and name the cause.",
    ),
    "pokes": _one(
        "--poke",
        "pokes",
        multiple=True,
        type=PokeOf(STOPS),
        text="Flip one bit of one byte at a stop, after the host has looked; repeatable. OWNER as "
        "in 'inspect --owners'.",
    ),
    "stops": _one(
        "--stops",
        type=StopsOf(STOPS),
        default=",".join(RunSpec.stops),
        text="Where the guest stops for the host to look at its memory, or 'none'.",
    ),
    "cpu": _one(
        "--cpu",
        default=RunSpec.cpu,
        metavar="MODEL",
        text="CPU of the guest, as QEMU's -cpu.  [default: max]",
    ),
    "machine_option": _one(
        "--machine-option",
        multiple=True,
        metavar="NAME=VALUE",
        text="Property of the machine, as QEMU's -machine; repeatable.",
    ),
    "qemu": _one(
        "--qemu",
        default=RunSpec.qemu,
        metavar="PATH|VERSION",
        text="Another QEMU: a program, a folder of programs, or a version ('khorig qemu fetch').",
    ),
    "accel": _one(
        "--accel",
        type=click.Choice((*ACCELERATORS, "auto")),
        default=RunSpec.accel,
        text="tcg emulates and counts instructions; kvm does neither; auto is kvm where it runs.",
    ),
    "append": _one(
        "--append",
        multiple=True,
        metavar="NAME=VALUE",
        text="Append to the command line of every khorig kernel; repeatable.",
    ),
    "timeout": _one(
        "--timeout",
        type=Seconds(),
        default=KhorigRun.timeout_s,
        text="Seconds the guest of one run may take.",
    ),
    "out": _one("--out", type=OutFolder(), text="Folder for artifacts.  [default: out]"),
    "keep": _flag("--keep", text="Keep guest RAM at every stop, also of runs that pass."),
    "jobs": _jobs,
    "gdb": _one(
        "--gdb",
        type=GdbPort(),
        is_flag=False,
        flag_value=str(DEFAULT_GDB_PORT),
        metavar="[PORT]",
        text="Wait for gdb on localhost before the first instruction; no hang detector, no "
        f"timeout.  [port: {DEFAULT_GDB_PORT}]",
    ),
    "dry_run": _flag(
        "--dry-run", text="Print the QEMU command line of each run, for a shell; run nothing."
    ),
    "verbose": _flag("--verbose", "-v", text="Show the guest's console (teeth: the findings)."),
    "json": _flag("--json", text="Print results.json (schema 1) on stdout, the rest on stderr."),
}


def run_options(*names: str, **defaults: Any) -> Callable[[_Function], _Function]:
    """Adds the options of these names, and those that `defaults` has another default for. That of
    `tamper` is no value: it gives the names of what can be done."""

    def add(function: _Function) -> _Function:
        for name in reversed(tuple(_OPTIONS)):
            if name in defaults:
                function = _OPTIONS[name](defaults[name])(function)
            elif name in names:
                function = _OPTIONS[name]()(function)
        return function

    return add


def without(**reasons: str) -> Callable[[_Function], _Function]:
    """Refuses options of the table by name, each for its reason, where click would only report an
    unknown option."""

    def add(function: _Function) -> _Function:
        for name, reason in reasons.items():
            refused = _refused(reason)
            spelled = ["--" + name.replace("_", "-"), *(("-j",) if name == "jobs" else ())]
            function = click.option(
                *spelled,
                is_flag=False,
                flag_value="",
                hidden=True,
                expose_value=False,
                callback=refused,
                is_eager=True,
            )(function)
        return function

    return add


def _refused(reason: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        source = context.get_parameter_source(str(parameter.name))
        # What the environment says of all verbs is no mistake in this one.
        if source is click.core.ParameterSource.COMMANDLINE:
            verb, option = context.command_path, parameter.opts[0]
            raise click.UsageError(f"{option} does not apply to '{verb}': {reason}", context)

    return callback


def machines_of(archs: Sequence[str] | None, names: Sequence[str] | None) -> list[Machine]:
    """What --arch and --machine select, in the order of MACHINES. Raises UsageError when nothing is
    left."""
    everything = names is not None and ALL in names
    wanted = DEFAULT_MACHINES if names is None else names
    chosen = [m for m in MACHINES if everything or m.name in wanted]
    left = [machine for machine in chosen if archs is None or machine.arch in archs]
    if not left:
        named = ", ".join(machine.name for machine in chosen)
        raise click.UsageError(f"no machine selected: {named} is not {','.join(archs or ())}")
    return left


def with_page_sizes(sizes: Sequence[str], machines: Sequence[Machine]) -> list[Machine]:
    """The machines that have kernels with these pages. Raises UsageError when there is none."""
    larger = [size for size in sizes if size != PAGE_SIZES[0]]
    left = [machine for machine in machines if not larger or machine.arch == "arm64"]
    if not left:
        named = ", ".join(machine.name for machine in machines)
        raise click.UsageError(f"--page-size {larger[0]}: pages of x86_64 ({named}) have 4K")
    return left
