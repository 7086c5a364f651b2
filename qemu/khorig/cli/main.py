# SPDX-License-Identifier: BSD-3-Clause
"""`khorig`"""

from __future__ import annotations

import sys
from typing import Sequence

import click

from khorig import __version__
from khorig.cli import exit_codes
from khorig.cli.verbs import Verbs
from khorig.vm.errors import InfraError

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
  khorig teeth                        which changes of handed-over memory are found
  khorig test                         all tests
  khorig mutants                      whether the tests notice planted bugs
  khorig linux build                  real Linux as a peer; then: khorig linux run
  khorig inspect DUMP                 the handover in a dump; then: khorig check DUMP
  khorig diff A B                     what changed between two dumps, and whether it may
  khorig report DIR                   a page of what runs have left; every run makes one
  khorig list                         scenarios, machines and defects
  khorig doctor                       what is missing, and what mends it
"""

_EPILOG = """\b
Every option can be given as KHORIG_<OPTION> in the environment (KHORIG_MACHINE=virt).
\b
Exit status: 0 passed; 1 failed or crashed; 2 wrong usage; 3 trouble with QEMU or this host;
4 nothing ran; 124 hung; 130 interrupted. The worst run decides, a hang being the worst.
"""


@click.group(
    cls=Verbs,
    help=_HELP,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="khorig")
def cli() -> None:
    """The group; its help is above."""


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
