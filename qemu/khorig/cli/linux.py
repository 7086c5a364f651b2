# SPDX-License-Identifier: BSD-3-Clause
"""`khorig linux`"""

from __future__ import annotations

import functools
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Sequence

import click

from khorig.cli import exit_codes
from khorig.cli.appended import check_chain_options
from khorig.cli.crash import checked_crash, crash_option
from khorig.cli.flavour_name import FlavourName
from khorig.cli.kexec_flags import checked_kexec_flags, kexec_flag_option
from khorig.cli.qemu_arguments import HARDWARE, check_qemu_arguments, hardware_of
from khorig.cli.run_options import ALL, machines_of, run_options, with_page_sizes
from khorig.cli.session import run_session, session_options
from khorig.cli.stress import stress_option, stressed
from khorig.cli.suggest import unknown_kernel
from khorig.cli.types import ConfigSetting, NameOf, check_pokes
from khorig.cli.user_space import (
    archs_of_programs,
    checked_initrd,
    checked_programs,
    program_option,
)
from khorig.cli.verb import VerbGroup
from khorig.guest.chain_run import ChainRun
from khorig.guest.spec import KHORIG, KHORIGS, PAGE_SIZES, khorig_with
from khorig.linux.chain import must_count
from khorig.linux.chain_kind import chain_kind
from khorig.linux.image import arch_of_image
from khorig.linux.peer import ARCHITECTURES, STOCK, VERSIONS, list_peers, pinned
from khorig.run.kernel_stops import with_probe
from khorig.vm.machines import Machine, machine_named

if TYPE_CHECKING:
    from khorig.linux.kconfig_option import KconfigOption
    from khorig.linux.source import Source
    from khorig.vm.private_apt import Report

_TIMEOUT_S = 300.0
_VERSIONS = (*VERSIONS, STOCK)


class _Verbs(VerbGroup):
    """Some are in files of their own, which need this one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "grid", "selftests"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "grid":
            from khorig.cli.linux_grid import grid

            return grid
        if cmd_name == "selftests":
            from khorig.cli.linux_selftests import selftests

            return selftests
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Verbs, short_help="Build Linux peers and run chains with them.")
def linux() -> None:
    """Build Linux peers and run chains with them.

    \b
      khorig linux build                               7.3 and 7.2 for both architectures
      khorig linux build --source ~/linux --arch arm64 your own tree
      khorig linux build linux-7.3@KASAN --arch arm64  with one more Kconfig symbol
      khorig linux run --chain linux-7.3,khorig,linux-7.3
      khorig linux run --kernel ~/linux/arch/x86/boot/bzImage --machine q35
      khorig linux grid --source ~/linux               to and from every kernel, all directions
      khorig linux selftests --source ~/linux          its own tests, beside the rig's verdict
    """


@linux.command(short_help="Build Linux peers into the cache.")
@click.argument("peers", nargs=-1, type=FlavourName(), metavar="[PEER]...")
@click.option(
    "--version",
    "versions",
    type=NameOf("version", lambda: _VERSIONS),
    help="Debian's versions to build.  [default: all]",
)
@click.option(
    "--arch", type=NameOf("arch", lambda: ARCHITECTURES), help="Only these architectures."
)
@click.option(
    "--source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Build this clean source tree instead of Debian's.",
)
@click.option(
    "--config",
    "settings",
    multiple=True,
    type=ConfigSetting(),
    metavar="NAME=VALUE",
    help="Set a Kconfig symbol on top of the rig's configuration; repeatable. The peer is "
    "named after it: linux-7.3@NAME.",
)
@click.option(
    "--jobs", "-j", type=click.IntRange(1), default=2, show_default=True, help="As make's -j."
)
def build(
    peers: tuple[tuple[str, tuple[KconfigOption, ...]], ...],
    versions: tuple[str, ...] | None,
    arch: tuple[str, ...] | None,
    source: Path | None,
    settings: tuple[KconfigOption, ...],
    jobs: int,
) -> int:
    """Build Linux with KHO, LUO and test_kho, in a tiny configuration.

    PEER is a name as in --chain, linux-7.3 or linux-7.3@KASAN: with more Kconfig symbols, and what
    they need.

    Debian's linux-source is downloaded from the system's mirror into a private cache; the system is
    not changed. Cached builds are reused. Version "stock" is Debian's own x86_64 kernel, without
    KHO: the peer that a handover must not be made to.
    """
    from khorig.linux.build import only_builder
    from khorig.linux.source import DebianSource, OwnSource

    if peers and (versions or settings or source):
        raise click.UsageError("PEER excludes --version, --config and --source")
    if source is not None and versions:
        raise click.UsageError("--version and --source exclude each other")
    if settings and STOCK in (versions or ()):
        raise click.UsageError(
            f"--config does not apply to version {STOCK}, which Debian has built"
        )
    archs = arch or ARCHITECTURES
    wanted = peers or tuple((version, settings) for version in versions or _VERSIONS)
    with only_builder(click.echo):
        if source is not None:
            build_peers([OwnSource(source)], archs, settings, jobs, click.echo)
            return exit_codes.PASS
        if (STOCK, ()) in wanted:
            _fetch(archs)
        for version, more in wanted:
            if version != STOCK:
                build_peers([DebianSource(version)], archs, more, jobs, click.echo)
    return exit_codes.PASS


def _known_damage() -> Sequence[str]:
    from khorig.linux.refusals import LINUX_DAMAGES
    from khorig.run.tamper.runs import known_tamperings

    return tuple(dict.fromkeys((*LINUX_DAMAGES, *known_tamperings())))


def count_option(command: Any) -> Any:
    """Adds --count."""
    return click.option(
        "--count",
        is_flag=True,
        help="Count virtual time in instructions (-icount): the same seed gives the same run, at "
        "several times the wall time.",
    )(command)


def _fetch(archs: Sequence[str]) -> None:
    from khorig.linux.stock import ARCH, fetch_stock

    if ARCH in archs:
        peer = fetch_stock(click.echo)
        click.echo(f"{peer.short} ({peer.release}) for {peer.arch}: {peer.image}")


def build_peers(
    sources: Sequence[Source],
    archs: Sequence[str],
    settings: Sequence[KconfigOption],
    jobs: int,
    report: Report,
) -> None:
    """Builds what is not cached; the caller is the only builder. Raises InfraError."""
    from khorig.linux.archive import build_init
    from khorig.linux.build import Builder
    from khorig.linux.selftests import build_selftests

    for one in sources:
        for name in archs:
            peer = Builder(one, name, jobs, report, settings).build()
            build_init(peer)
            build_selftests(peer, functools.partial(one.tree, report), report)
            report(f"{peer.short} ({peer.release}) for {name}: {peer.image}")
        one.remove()


@linux.command("list", short_help="List the built peers.")
def list_command() -> int:
    """List the built peers. A long name has its settings below it."""
    peers = list_peers()
    name = max((len(peer.listed) for peer in peers), default=0)
    release = max((len(peer.release) for peer in peers), default=0)
    for peer in peers:
        click.echo(f"{peer.listed:<{name}} {peer.release:<{release}} {peer.arch:<7} {peer.image}")
        if peer.short != peer.name:
            settings = " ".join(peer.name.split("@")[1:])
            click.echo(textwrap.fill(settings, 100, initial_indent="  ", subsequent_indent="  "))
    return exit_codes.PASS


@linux.command(takes_qemu=True, short_help="Run a chain of kernels and print a verdict.")
@click.option(
    "--chain",
    default="linux-7.3,khorig,linux-7.3",
    show_default=True,
    help="Kernels in boot order: khorig (khorig-16k and khorig-64k with larger pages), "
    "linux-VERSION (the newest build) or linux-VERSION:BUILD ('khorig linux list'), 'linux' (that "
    "of --kernel), or a path.",
)
@click.option(
    "--kernel",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Linux image with KHO to use for every Linux in the chain.",
)
@click.option(
    "--initrd",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="cpio archive to unpack over the rig's own initramfs in every Linux.",
)
@program_option
@kexec_flag_option
@crash_option
@click.option(
    "--linux-append",
    multiple=True,
    metavar="[N:]OPTION",
    help="Append to the command line of every Linux, or of generation N; repeatable.",
)
@stress_option
@count_option
@run_options(
    *("arch", "machine", "boot", "smp", "page_size", "seed", "pokes", "stops", "append"),
    *("out", "keep", "jobs", "gdb", "dry_run", "verbose", "json", *HARDWARE),
    mem="1G",
    timeout=_TIMEOUT_S,
    tamper=_known_damage,
)
@click.pass_obj
def run(extra_qemu: tuple[str, ...], **options: Any) -> int:
    """Run a chain of kernels, each handing over to the next, and print a verdict.

    The verdict covers what each Linux reports, its own test_kho included, and what the host sees in
    memory.
    """
    names = options["chain"].split(",")
    if options["kernel"]:
        path = str(options["kernel"].resolve())
        names = [path if name.startswith("linux") else name for name in names]
    sizes = options["page_sizes"]
    if len(sizes) > 1:
        raise click.UsageError("--page-size: in a chain name the kernels, khorig and khorig-16k")
    names = [khorig_with(sizes[0]) if name == KHORIG else name for name in names]
    machines = fitting_machines(
        names,
        with_page_sizes(
            [size for size in PAGE_SIZES if khorig_with(size) in names],
            machines_of(options["arch"], options["machine"]),
        ),
        archs_of_programs(options, names),
    )
    specs = [
        chain_spec(options, tuple(names), machine, extra_qemu, boot)
        for machine in machines
        for boot in options["boot"]
    ]
    if options["tamper"] is not None:
        specs = _damaged(specs, options["tamper"])
    for spec in specs:
        probed = with_probe(spec, machine_named(spec.machine)) if spec.pokes else spec
        for poke in spec.pokes:
            known = poke.generation <= spec.generations
            stops = probed.stops_of(poke.generation) if known else ()
            check_pokes((poke,), spec.generations, stops)
    return run_session(specs, chain_kind(), session_options(options))


def fitting_machines(
    names: Sequence[str], machines: Sequence[Machine], programs: Mapping[str, str]
) -> list[Machine]:
    """The machines that can boot every image of the chain, and run every program. Raises
    InfraError, UsageError."""
    archs = {arch_of_image(Path(name)): name for name in names if "/" in name}
    archs = {**programs, **archs}
    fitting = [machine for machine in machines if set(archs) <= {machine.arch}]
    if not fitting:
        what = ", ".join(f"{name} is for {arch}" for arch, name in archs.items())
        among = ", ".join(machine.name for machine in machines)
        raise click.UsageError(f"{what}; no machine among {among} is")
    return fitting


def _damaged(specs: list[ChainRun], wanted: Sequence[str]) -> list[ChainRun]:
    from khorig.linux.refusals import damaged, refusals_of

    runs = []
    for spec in specs:
        known = refusals_of(spec.kernels)
        for name in known if ALL in wanted else wanted:
            if name not in known:
                pair = " to ".join(spec.kernels[:2])
                raise click.UsageError(f"--tamper {name} does not apply to {pair}")
            runs.append(damaged(spec, name))
    return runs


def chain_spec(
    options: dict[str, Any],
    kernels: tuple[str, ...],
    machine: Machine,
    extra_qemu: tuple[str, ...],
    boot: str = ChainRun.boot,
) -> ChainRun:
    """The run that options of `linux run` ask for. Raises UsageError, InfraError."""
    if len(kernels) < 2:
        raise click.UsageError("a chain needs at least two kernels")
    for name in kernels:
        if name not in KHORIGS and not name.startswith("linux-") and "/" not in name:
            raise unknown_kernel(name)
    check_chain_options(kernels, options.get("append", ()), options.get("linux_append", ()))
    hardware = hardware_of(options, machine)
    spec = ChainRun(
        arch=machine.arch,
        machine=machine.name,
        memory=options["mem"],
        smp=options["smp"],
        seed=options["seed"],
        timeout_s=options["timeout"],
        stops=options["stops"],
        extra_options=tuple(options.get("append", ())),
        extra_qemu=extra_qemu,
        boot=boot,
        pokes=options.get("pokes", ()),
        kernels=tuple(pinned(machine.arch, name) for name in kernels),
        counted=options["count"] or (hardware["accel"] == "tcg" and must_count(machine.name)),
        linux_options=tuple(options.get("linux_append", ())),
        extra_initrd=checked_initrd(options.get("initrd"), kernels),
        programs=checked_programs(kernels, options.get("run", ())),
        kexec_flags=checked_kexec_flags(kernels, options.get("kexec_flag", ())),
        crash=checked_crash(kernels, options.get("crash")),
        stress=stressed(kernels, options.get("stress")),
        **hardware,
    )
    if spec.counted and spec.accel != "tcg":
        raise click.UsageError(f"--count: {spec.accel} counts no instructions")
    check_qemu_arguments(spec)
    return spec
