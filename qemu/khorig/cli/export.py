# SPDX-License-Identifier: BSD-3-Clause
"""`khorig export`"""

from __future__ import annotations

from pathlib import Path

import click

from khorig.cli import exit_codes
from khorig.cli.dump_options import Unusable, machine_option, opened
from khorig.cli.verb import Verb


@click.command(cls=Verb, short_help="Convert a dump to an ELF core for crash, drgn and gdb.")
@click.argument(
    "dump", metavar="DUMP", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--elf",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="OUT",
    help="ELF core to write; zeros take no room in it.",
)
@click.option(
    "--arch",
    type=click.Choice(["x86_64", "arm64"]),
    help="Architecture, when neither the dump nor a handover in it states it.",
)
@machine_option
def export(dump: Path, elf: Path, arch: str | None, machine: str | None) -> int:
    """Write the memory in DUMP as an ELF core: any dump that 'khorig inspect' reads.

    VMCOREINFO is taken from the dump or found in its memory. Pages that the dump left out are in
    no segment.

    \b
      khorig export gen1.sealed.ram.zst --elf core && gdb -c core
      khorig export memory.lime --elf vmcore && crash vmlinux vmcore
    """
    from khorig.kho.snapshot import NoHandover, find_snapshot
    from khorig.mem.elf_writer import CannotExport, write_elf
    from khorig.out.text import size
    from khorig.vm.errors import InfraError

    with opened(dump, machine) as source:
        if arch is None and source.arch is None:
            try:
                arch = find_snapshot(source).arch
            except NoHandover as error:
                raise click.UsageError(f"{dump} states no architecture: give --arch") from error
        try:
            found = write_elf(source, elf, arch)
        except CannotExport as error:
            raise Unusable(str(error)) from error
        except OSError as error:
            raise InfraError(f"{elf}: {error.strerror}") from error
    total = sum(area.size for area in found.ranges)
    click.echo(
        f"{elf}: ELF core, {found.arch}, {size(total)} of RAM, {size(found.written)} written"
    )
    if not found.vmcoreinfo:
        click.echo("no VMCOREINFO in the dump: crash and drgn will not find Linux in it")
    where = "physical addresses"
    if found.virtual is not None:
        where = f"physical addresses + {found.virtual:#x} (Linux's linear map)"
    click.echo(f"p_vaddr: {where}")
    return exit_codes.PASS
