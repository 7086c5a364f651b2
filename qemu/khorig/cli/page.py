# SPDX-License-Identifier: BSD-3-Clause
"""`khorig inspect --page`"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from khorig.cli import exit_codes
from khorig.cli.dump_options import Unusable, opened

if TYPE_CHECKING:
    from khorig.kho.snapshot import Snapshot
    from khorig.mem.formats import Dump
    from khorig.rules.page_view import Expected, PageView


def show_page(
    source: Dump,
    address: int,
    against: Path | None,
    root: int | None,
    generation: int | None,
    machine: str | None,
    as_json: bool,
) -> int:
    """Prints what the page with a byte holds and should hold: by the content formula, and by
    `against`, by default the image of the stop before beside the dump. Raises Unusable."""
    from khorig.out.inspect.beside import run_beside, stop_before
    from khorig.out.inspect.page import page_document, page_lines
    from khorig.rules.page_view import NoPage, view_page

    snapshot = _snapshot(source, root, generation)
    run = run_beside(source.path)
    seed = run.spec.seed if run.spec else None
    try:
        view = view_page(source, snapshot, address, seed)
    except NoPage as error:
        raise Unusable(str(error)) from error
    other = against or stop_before(source.path)
    if other is not None and (expected := _held(other, view, machine)) is not None:
        view = dataclasses.replace(view, expected=(expected, *view.expected))
    if as_json:
        click.echo(json.dumps(page_document(view, snapshot, run.findings), indent=1))
    else:
        click.echo("\n".join(page_lines(view, snapshot, seed, run.findings)))
    return exit_codes.PASS


def _snapshot(source: Dump, root: int | None, generation: int | None) -> Snapshot | None:
    """None without a handover: a page has content all the same."""
    from khorig.kho.snapshot import NoHandover, find_snapshot

    try:
        return find_snapshot(source, root, generation)
    except NoHandover as error:
        click.echo(f"khorig: {error}", err=True)
        return None


def _held(path: Path, view: PageView, machine: str | None) -> Expected | None:
    from khorig.rules.page_view import expected_by

    with opened(path, machine) as dump:
        expected = expected_by(dump, _snapshot(dump, None, None), view)
    if expected is None:
        click.echo(f"khorig: {path.name} lacks the page at {view.address:#018x}", err=True)
    return expected
