# SPDX-License-Identifier: BSD-3-Clause
"""`khorig linux`"""

from __future__ import annotations

import functools
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence

import click

from khorig.cli import exit_codes
from khorig.cli.appended import check_chain_options
from khorig.cli.qemu_arguments import check_qemu_arguments
from khorig.cli.types import (
    ConfigSetting,
    NameOf,
    OutFolder,
    PokeOf,
    Seconds,
    Seed,
    Size,
    StopsOf,
    check_pokes,
)
from khorig.guest.chain_run import ChainRun, is_linux
from khorig.guest.spec import BOOTS
from khorig.linux.chain import must_count
from khorig.linux.image import arch_of_image
from khorig.linux.initrd import why_no_initrd
from khorig.linux.peer import ARCHITECTURES, STOCK, VERSIONS, list_peers
from khorig.vm.machines import DEFAULT_MACHINES, MACHINES

if TYPE_CHECKING:
    from khorig.linux.setting import Setting
    from khorig.linux.source import Source

_TIMEOUT_S = 300.0
_VERSIONS = (*VERSIONS, STOCK)
_ENVIRONMENT = {"auto_envvar_prefix": "KHORIG"}


@click.group(short_help="Real Linux on either side of the jump.")
def linux() -> None:
    """Real Linux on either side of the jump: build peers, run chains with them.

    \b
      khorig linux build                               7.3 and 7.2 for both architectures, once
      khorig linux build --source ~/linux --arch arm64 your own tree
      khorig linux build --version 7.3 --arch arm64 --config ARM64_16K_PAGES=y
      khorig linux run --chain linux-7.3,khorig,linux-7.3
      khorig linux run --kernel ~/linux/arch/x86/boot/bzImage --machine q35
      khorig linux table                               every pair of kernels, one verdict each
    """


@linux.command(short_help="Build Linux peers into the cache.")
@click.option(
    "--version", "versions", type=NameOf("version", lambda: _VERSIONS), help="[default: all]"
)
@click.option("--arch", type=NameOf("arch", lambda: ARCHITECTURES), help="[default: all]")
@click.option(
    "--source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A clean source tree of your own in place of Debian's.",
)
@click.option(
    "--config",
    "settings",
    multiple=True,
    type=ConfigSetting(),
    metavar="NAME=VALUE",
    help="A symbol of Kconfig, on top of the rig's configuration; the peer is called "
    "after it, linux-7.3@NAME.",
)
@click.option("--jobs", "-j", type=click.IntRange(1), default=2, show_default=True)
def build(
    versions: tuple[str, ...] | None,
    arch: tuple[str, ...] | None,
    source: Path | None,
    settings: tuple[Setting, ...],
    jobs: int,
) -> int:
    """Build Linux with KHO, LUO and its test module, in a tiny configuration.

    Debian's linux-source comes from the system's own mirror into a folder of our own; nothing of the
    system is changed. What is in the cache is not built again. "stock" is a Linux as Debian ships it,
    without Kexec HandOver, for x86_64: what a handover must not be made to.
    """
    from khorig.linux.build import only_builder
    from khorig.linux.source import DebianSource, OwnSource

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if source is not None and versions:
        raise click.UsageError("--version is for Debian's source, --source for your own")
    if settings and STOCK in (versions or ()):
        raise click.UsageError(f"{STOCK} is built by Debian; --config is for what is built here")
    wanted = versions or _VERSIONS
    sources: list[Source] = [DebianSource(version) for version in wanted if version != STOCK]
    if source is not None:
        sources = [OwnSource(source)]
    with only_builder(click.echo):
        if source is None and not settings and STOCK in wanted:
            _fetch(arch or ARCHITECTURES)
        _build(sources, arch or ARCHITECTURES, settings, jobs)
    return exit_codes.PASS


def _fetch(archs: Sequence[str]) -> None:
    from khorig.linux.stock import ARCH, fetch_stock

    if ARCH in archs:
        peer = fetch_stock(click.echo)
        click.echo(f"{peer.name} ({peer.release}) for {peer.arch}: {peer.image}")


def _build(
    sources: Sequence[Source], archs: Sequence[str], settings: Sequence[Setting], jobs: int
) -> None:
    from khorig.linux.archive import build_init
    from khorig.linux.build import Builder
    from khorig.linux.selftests import build_selftests

    for one in sources:
        for name in archs:
            peer = Builder(one, name, jobs, click.echo, settings).build()
            build_init(peer)
            build_selftests(peer, functools.partial(one.tree, click.echo), click.echo)
            click.echo(f"{peer.name} ({peer.release}) for {name}: {peer.image}")
        one.forget()


@linux.command("list", short_help="List the built peers.")
def list_command() -> int:
    """List the built peers."""
    peers = list_peers()
    name = max((len(peer.name) for peer in peers), default=0)
    release = max((len(peer.release) for peer in peers), default=0)
    for peer in peers:
        click.echo(f"{peer.name:<{name}} {peer.release:<{release}} {peer.arch:<7} {peer.image}")
    return exit_codes.PASS


def _common(command: Any) -> Any:
    """The options that runs and the table share."""
    for option in (
        click.option("--json", is_flag=True, help="Print results.json; everything else to stderr."),
        click.option("--verbose", "-v", is_flag=True, help="Show the guest's console as it comes."),
        click.option("--keep", is_flag=True, help="Keep guest RAM at every stop."),
        click.option("--out", type=OutFolder(), help="Folder for artifacts.  [default: out]"),
        click.option(
            "--count",
            is_flag=True,
            help="Count virtual time in instructions: the same "
            "seed then gives the same run, at several times the wall time.",
        ),
        click.option(
            "--timeout",
            type=Seconds(),
            default=_TIMEOUT_S,
            show_default=True,
            help="Seconds that the guest of one run may take.",
        ),
        click.option(
            "--seed",
            type=Seed(),
            default=f"{ChainRun.seed:#x}",
            show_default=True,
            help="Decides every random choice.",
        ),
        click.option(
            "--smp",
            type=click.IntRange(1, 255),
            default=ChainRun.smp,
            show_default=True,
            help="CPUs of the guest.",
        ),
        click.option("--mem", type=Size(), default="1G", show_default=True, help="RAM."),
        click.option(
            "--stops",
            type=StopsOf(ChainRun.stops),
            default=",".join(ChainRun.stops),
            help="Where the host looks.  [default: all]",
        ),
        click.option(
            "--machine",
            type=NameOf("machine", lambda: [m.name for m in MACHINES]),
            default=",".join(DEFAULT_MACHINES),
            show_default=True,
        ),
    ):
        command = option(command)
    return command


@linux.command(
    short_help="Run a chain of kernels and print a verdict.", context_settings=_ENVIRONMENT
)
@click.option(
    "--chain",
    default="linux-7.3,khorig,linux-7.3",
    show_default=True,
    help="Kernels in the order of their boots: khorig, linux-VERSION, or an image's path; "
    "'linux' is the one of --kernel.",
)
@click.option(
    "--kernel",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A Linux image with KHO: it takes the place of every Linux in the chain.",
)
@click.option(
    "--initrd",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="More of a Linux's user space, as cpio; unpacked over the rig's own.",
)
@click.option(
    "--boot",
    type=NameOf("boot", lambda: BOOTS),
    default=ChainRun.boot,
    show_default=True,
    help="How the first kernel is started: direct by QEMU, uefi by firmware, if that is "
    "khorig; or both, with a comma.",
)
@click.option(
    "--tamper",
    metavar="NAME[,NAME]|all",
    help="Damage the first handover; the second kernel must refuse it by name.",
)
@click.option(
    "--poke",
    "pokes",
    multiple=True,
    type=PokeOf(ChainRun.stops),
    help="Flip a bit of one byte at a stop, after the host has looked; may be repeated. "
    "The owner as 'inspect --owners' names it.",
)
@click.option("--append", multiple=True, metavar="NAME=VALUE", help="For each khorig.")
@click.option(
    "--linux-append",
    multiple=True,
    metavar="NAME=VALUE",
    help="For each Linux; with N: in front only for that generation.",
)
@_common
@click.pass_obj
def run(extra_qemu: tuple[str, ...], **options: Any) -> int:
    """Run a chain of kernels, each handing over to the next, and print a verdict.

    The verdict says what Linux said, its own test_kho included, and what was seen in memory.
    """
    names = options["chain"].split(",")
    if options["kernel"]:
        path = str(options["kernel"].resolve())
        names = [path if name.startswith("linux") else name for name in names]
    machines = _machines_for(names, options["machine"])
    if "uefi" in options["boot"] and names[:1] != ["khorig"]:
        raise click.UsageError("firmware starts khorig: a chain from uefi has that first")
    specs = [
        _spec(options, tuple(names), machine, extra_qemu, boot)
        for machine in machines
        for boot in options["boot"]
    ]
    if options["tamper"] is not None:
        specs = _damaged(specs, options["tamper"])
    for spec in specs:
        for poke in spec.pokes:
            stops = spec.stops_of(poke.generation) if poke.generation <= spec.generations else ()
            check_pokes((poke,), spec.generations, stops)
    return _session(specs, options)


def _machines_for(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Those machines that the images among the kernels are for; all when there are none. Raises
    InfraError, UsageError."""
    archs = {arch_of_image(Path(name)): name for name in names if "/" in name}
    arch_of = {machine.name: machine.arch for machine in MACHINES}
    fitting = [name for name in wanted if set(archs) <= {arch_of[name]}]
    if not fitting:
        what = ", ".join(f"{name} is for {arch}" for arch, name in archs.items())
        raise click.UsageError(f"{what}; no machine among {', '.join(wanted)} is")
    return fitting


def _damaged(specs: list[ChainRun], wanted: str) -> list[ChainRun]:
    from khorig.cli.near import unknown
    from khorig.linux.refusals import damaged, refusals_of

    runs = []
    for spec in specs:
        known = refusals_of(spec.kernels)
        names = known if wanted == "all" else tuple(wanted.split(","))
        for name in names:
            if name not in known:
                raise unknown("tampering", name, known)
            runs.append(damaged(spec, name))
    return runs


@linux.command(
    short_help="Every pair of kernels on both architectures.", context_settings=_ENVIRONMENT
)
@_common
@click.pass_obj
def table(extra_qemu: tuple[str, ...], **options: Any) -> int:
    """Run {linux-7.2, linux-7.3, khorig} x {linux-7.2, linux-7.3, khorig} on every machine asked for
    and print the table."""
    from khorig.out.linux_table import KERNELS, render_table

    specs = [
        _spec(options, (first, second), machine, extra_qemu)
        for machine in options["machine"]
        for first in KERNELS
        for second in KERNELS
    ]
    return _session(specs, options, render_table)


def _spec(
    options: dict[str, Any],
    kernels: tuple[str, ...],
    machine: str,
    extra_qemu: tuple[str, ...],
    boot: str = ChainRun.boot,
) -> ChainRun:
    if len(kernels) < 2:
        raise click.UsageError("a chain has at least two kernels")
    for name in kernels:
        if name != "khorig" and not name.startswith("linux-") and "/" not in name:
            what = "expected khorig, linux-VERSION or a path with '/'"
            raise click.UsageError(f"unknown kernel '{name}': {what}")
    check_chain_options(kernels, options.get("append", ()), options.get("linux_append", ()))
    spec = ChainRun(
        arch=next(m.arch for m in MACHINES if m.name == machine),
        machine=machine,
        memory=options["mem"],
        smp=options["smp"],
        seed=options["seed"],
        timeout_s=options["timeout"],
        stops=options["stops"],
        extra_options=tuple(options.get("append", ())),
        extra_qemu=extra_qemu,
        boot=boot,
        pokes=options.get("pokes", ()),
        kernels=kernels,
        counted=options["count"] or must_count(machine),
        linux_options=tuple(options.get("linux_append", ())),
        extra_initrd=_initrd(options.get("initrd"), kernels),
    )
    check_qemu_arguments(spec)
    return spec


def _initrd(path: Path | None, kernels: tuple[str, ...]) -> str:
    """Raises UsageError for a file that no kernel would take user space from."""
    if path is None:
        return ""
    if not any(map(is_linux, kernels)):
        raise click.UsageError(f"--initrd {path}: there is no Linux in this chain")
    if why := why_no_initrd(path):
        raise click.UsageError(
            f"--initrd {path}: {why}; expected user space as cpio, packed or not"
        )
    return str(path.resolve())


def _session(specs: list[ChainRun], options: dict[str, Any], summary: Any = None) -> int:
    from khorig.cli.session import SessionOptions, run_session
    from khorig.linux.chain_kind import chain_kind

    chosen = SessionOptions(
        out=options["out"],
        people=sys.stderr if options["json"] else sys.stdout,
        verbose=options["verbose"],
        json=options["json"],
        keep=options["keep"],
        record=False,
    )
    return run_session(specs, chain_kind(), chosen, summary)
