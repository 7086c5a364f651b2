# SPDX-License-Identifier: BSD-3-Clause
"""`khorig inspect`"""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Iterable

import click

from khorig.cli import exit_codes
from khorig.cli.dump_options import dump_options, json_option, opened
from khorig.cli.page import show_page
from khorig.cli.types import Number
from khorig.cli.verb import Verb

if TYPE_CHECKING:
    from khorig.kho.snapshot import Snapshot

_WORDS = 1 << 16  # of JSON, printed together
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Verb, short_help="Show the handover in a dump.")
@dump_options
@click.option("--tree", is_flag=True, help="Show the tree of FDT fragments.")
@click.option("--pages", is_flag=True, help="List preserved blocks with their owners.")
@click.option("--owners", is_flag=True, help="Show memory per owner.")
@click.option("--dts", is_flag=True, help="Dump the FDTs as source.")
@click.option(
    "--page",
    type=Number(),
    metavar="ADDRESS",
    help="Show what the page with this byte holds and should hold.",
)
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="DUMP",
    help="With --page: an earlier dump of the machine.  [default: the stop before, beside DUMP]",
)
@json_option
@click.option("--html", type=_FILE, metavar="FILE", help="Write a self-contained HTML report.")
@click.option("--svg", type=_FILE, metavar="FILE", help="Write a memory map as SVG.")
def inspect(
    dump: Path,
    fdt: int | None,
    generation: int | None,
    machine: str | None,
    tree: bool,
    pages: bool,
    owners: bool,
    dts: bool,
    page: int | None,
    against: Path | None,
    as_json: bool,
    html: Path | None,
    svg: Path | None,
) -> int:
    """Show the handover in DUMP: an ELF core (QEMU's dump-guest-memory, /proc/vmcore), a kdump, a
    LiME or raw RAM image, any of them compressed, the RAM backing file of a running machine, or its
    QMP socket. --json lists every preserved block with --pages.

    \b
      khorig inspect out/latest/handover/x86_64-q35/gen1.sealed.ram.zst
      khorig inspect vmcore --owners
      khorig inspect out/latest/handover/x86_64-q35/gen2.entry.ram.zst --page 0x1234000
      khorig inspect guest.elf --fdt 0x12345000 --dts
      khorig inspect vmcore --html handover.html --svg memory.svg
    """
    from khorig.kho.snapshot import NoHandover, find_snapshot
    from khorig.out.inspect import details
    from khorig.out.inspect.document import inspection_document
    from khorig.out.inspect.memory_map import memory_map
    from khorig.out.inspect.summary import summary_lines

    if against is not None and page is None:
        raise click.UsageError("--against needs --page")
    with opened(dump, machine) as source:
        if page is not None:
            return show_page(source, page, against, fdt, generation, machine, as_json)
        try:
            snapshot = find_snapshot(source, fdt, generation)
        except NoHandover as error:
            return _nothing(source, error, as_json, dts)
        _write(snapshot, html, svg)
        if as_json:
            # In parts: with every block the text would take more memory than the snapshot.
            words = json.JSONEncoder(indent=1).iterencode(inspection_document(snapshot, pages))
            while part := "".join(islice(words, _WORDS)):
                click.echo(part, nl=False)
            click.echo()
            return exit_codes.PASS
        wanted: list[Iterable[str]] = []
        if tree:
            wanted.append(details.tree_lines(snapshot))
        if owners:
            wanted.append(details.owner_lines(snapshot))
        if dts:
            wanted.append(details.dts_lines(snapshot))
        if pages:
            wanted.append(details.page_lines(snapshot))
        if not wanted and (html or svg):
            return exit_codes.PASS
        for lines in wanted or [summary_lines(snapshot)]:
            click.echo("\n".join(lines))
        if not wanted:
            from rich.console import Console

            console = Console(highlight=False, soft_wrap=True)
            for line in memory_map(snapshot):
                console.print(line)
    return exit_codes.PASS


def _write(snapshot: Snapshot, html: Path | None, svg: Path | None) -> None:
    """The files that were asked for. Raises InfraError when they cannot be written."""
    from khorig.out.report.dump_page import dump_html, dump_svg
    from khorig.run.artifacts import write_whole
    from khorig.vm.errors import InfraError

    for path, draw in ((html, dump_html), (svg, dump_svg)):
        if path is None:
            continue
        try:
            write_whole(path, draw(snapshot))
        except OSError as error:
            raise InfraError(f"{path}: {error.strerror}") from error


def _nothing(source: object, error: Exception, as_json: bool, dts: bool) -> int:
    """What can be said of a dump without a handover that can be read."""
    from khorig.kho.snapshot import NoHandover
    from khorig.mem.formats import Dump
    from khorig.out.inspect.document import candidate_document
    from khorig.out.inspect.absent import looked_lines, needed_lines
    from khorig.out.inspect.foreign import foreign_lines
    from khorig.out.inspect.summary import candidate_line, dump_lines, labelled

    assert isinstance(error, NoHandover) and isinstance(source, Dump)
    if as_json:
        candidates = [candidate_document(c) for c in error.candidates]
        document = {
            "schema": 1,
            "error": str(error),
            "status": exit_codes.USAGE,
            "candidates": candidates,
        }
        if error.found:
            document["looked"] = list(looked_lines(error.found))
        click.echo(f"khorig: {error}", err=True)
        click.echo(json.dumps(document, indent=1))
        return exit_codes.USAGE
    click.echo("\n".join(dump_lines(source, source.arch)))
    for candidate in error.candidates:
        click.echo(f"            {candidate_line(candidate)}")
        if candidate.handover is None:
            for line in foreign_lines(source.memory, candidate.address, dts):
                click.echo(f"            {line}")
    if error.found:
        for label, lines in (
            ("looked for", looked_lines(error.found)),
            ("needed", needed_lines()),
        ):
            click.echo("\n".join(labelled(label, list(lines))))
    click.echo(f"khorig: {error}", err=True)
    return exit_codes.USAGE
