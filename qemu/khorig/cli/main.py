# SPDX-License-Identifier: BSD-3-Clause
"""`khorig`"""

from __future__ import annotations

import sys
from typing import Sequence

import click

from khorig import __version__, exit_codes
from khorig.cli.bench import bench
from khorig.cli.check import check
from khorig.cli.doctor import doctor
from khorig.cli.explain import explain
from khorig.cli.inspect import inspect
from khorig.cli.linux import linux
from khorig.cli.listing import list_command
from khorig.cli.near import unknown
from khorig.cli.report import report
from khorig.cli.run import run
from khorig.errors import InfraError

_HELP = """A test rig for Kexec HandOver (KHO).

A tiny kernel boots under QEMU, preserves memory, hands its state over to itself across kexec, and
khorig checks from guest memory whether anything was lost.

\b
  khorig run                          x86_64 and arm64, three generations each
  khorig run --machine all            every machine
  khorig run --arch arm64 -v          one architecture, with the guest's console
  khorig run --scenario recursion --mem 1G --seed random
  khorig run --fault write-after-seal a defect that must be found
  khorig run -- -d int -D int.log     more arguments for QEMU
  khorig test                         all tests
  khorig linux build                  real Linux as a peer; then: khorig linux run
  khorig inspect DUMP                 the handover in a dump; then: khorig check DUMP
  khorig list                         scenarios, machines and defects
  khorig doctor                       what is missing, and what mends it
"""

_EPILOG = """\b
Every option can be given as KHORIG_<OPTION> in the environment (KHORIG_MACHINE=virt).
\b
Exit status: 0 passed; 1 failed or crashed; 2 wrong usage; 3 trouble with QEMU or this host;
4 nothing ran; 124 hung; 130 interrupted. The worst run decides, a hang being the worst.
"""


class _Verbs(click.Group):
    """Suggests the nearest verb."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise unknown("command", args[0], [*self.list_commands(ctx), "test"])
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Verbs,
    help=_HELP,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="khorig")
def cli() -> None:
    """The group; its help is above."""


cli.add_command(run)
cli.add_command(linux)
cli.add_command(bench)
cli.add_command(inspect)
cli.add_command(check)
cli.add_command(explain)
cli.add_command(report)
cli.add_command(list_command)
cli.add_command(doctor)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    extra: tuple[str, ...] = ()
    if "--" in words:
        at = words.index("--")
        words, extra = words[:at], tuple(words[at + 1 :])
    sys.exit(_run(words, extra))


def _run(words: list[str], extra: tuple[str, ...]) -> int:
    try:
        if extra and "run" not in words:
            raise click.UsageError("only 'run' takes arguments for QEMU")
        status = cli.main(words, prog_name="khorig", standalone_mode=False, obj=extra)
    except click.ClickException as error:
        error.show()
        return exit_codes.USAGE
    except InfraError as error:
        click.echo(f"khorig: {error.what}", err=True)
        for line in error.evidence:
            click.echo(f"  {line}", err=True)
        return exit_codes.INFRA
    except (KeyboardInterrupt, click.Abort):
        return exit_codes.SIGNAL + 2
    return status if isinstance(status, int) else exit_codes.PASS
