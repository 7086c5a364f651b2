# SPDX-License-Identifier: BSD-3-Clause
"""`khorig qemu`"""

from __future__ import annotations

import click

from khorig.cli.verb import VerbGroup


@click.group(cls=VerbGroup, short_help="Fetch other versions of QEMU.")
def qemu() -> None:
    """Fetch other versions of QEMU, for --qemu VERSION.

    \b
      khorig qemu fetch 11.1
      khorig run --qemu 11.1
    """


@qemu.command(short_help="Fetch a version from Debian's mirror.")
@click.argument("versions", nargs=-1, required=True, metavar="VERSION...")
def fetch(versions: tuple[str, ...]) -> None:
    """Fetch QEMU VERSION, such as 11.1, with all that it needs, into the cache.

    It comes from the system's Debian mirror, of newer suites. The system is not changed.
    """
    from khorig.vm.fetched_qemu import fetch as fetch_version

    for version in versions:
        click.echo(f"{version}: {fetch_version(version, click.echo)}")


@qemu.command("list", short_help="List the fetched versions.")
def list_command() -> None:
    """List the fetched versions."""
    from khorig.vm.fetched_qemu import fetched_folder, fetched_versions

    for version in fetched_versions():
        click.echo(f"{version:<10} {fetched_folder(version)}")
