# SPDX-License-Identifier: BSD-3-Clause
"""`khorig`"""

from __future__ import annotations

import itertools
import os
import sys
from typing import Sequence, TextIO

import click

from khorig import __version__
from khorig.cli import exit_codes
from khorig.cli.signals import interruptible
from khorig.cli.plugin_warnings import plugin_warnings
from khorig.cli.verbs import Verbs

_COMPLETE = "_KHORIG_COMPLETE"  # click's name for what asks it for completions

_HELP = """A test rig for Kexec HandOver (KHO).

A tiny kernel boots under QEMU, preserves memory, hands its state over to itself across kexec, and
khorig checks from guest memory that nothing was lost.

\b
  khorig run                          x86_64 and arm64, three generations each
  khorig run --machine all            every machine
  khorig run --arch arm64 -v          one architecture, with the guest's console
  khorig run --scenario recursion --mem 1G --seed random
  khorig run --fault write-after-seal a defect that must be detected
  khorig run --machine q35 --gdb      wait for gdb
  khorig run -- -d int -D int.log     more arguments for QEMU
  khorig teeth                        which corruptions of handed-over memory are detected
  khorig test                         all tests
  khorig coverage                     which lines of the host side its tests run
  khorig mutants                      which planted bugs the tests detect
  khorig catalogue                    real bugs, and how the rig makes them
  khorig linux build                  real Linux as a peer; then: khorig linux run
  khorig bisect --source ~/linux --good v7.2 --bad v7.3   the commit that broke it
  khorig inspect DUMP                 the handover in a dump; then: khorig check DUMP
  khorig diff A B                     what changed between two dumps, and what must not
  khorig export DUMP --elf OUT        an ELF core for crash, drgn and gdb
  khorig replay DIR                   the run that left DIR again, with the kernels of then
  khorig bundle DIR                   that run in one file; elsewhere: khorig rerun BUNDLE
  khorig report DIR                   an HTML report of earlier runs; every run writes one
  khorig clean                        remove artifacts of earlier runs
  khorig list                         scenarios, machines and faults
  khorig doctor                       check the installation and suggest fixes
"""

_EPILOG = """\b
Every option of every verb can be given as KHORIG_<OPTION> in the environment (KHORIG_MACHINE=virt).
NO_COLOR turns colours off. Completion: eval "$(_KHORIG_COMPLETE=bash_source khorig)" (zsh_source).
\b
Exit status: 0 passed; 1 failed or crashed; 2 usage; 3 QEMU or host trouble; 4 nothing ran;
70 bug in khorig; 124 hung; 128+N ended by signal N (129 HUP, 130 INT, 143 TERM; 141: stdout
closed). The worst run decides, a hang being the worst.
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
    with interruptible(), plugin_warnings():
        try:
            status = _invoke(words)
            sys.stdout.flush()
        except SystemExit:
            raise  # shell completion
        except BaseException as error:  # pylint: disable=broad-except
            status = _give_up(error, words)
    sys.exit(status)


def _invoke(words: Sequence[str]) -> int:
    if _COMPLETE in os.environ:
        cli.main(prog_name="khorig")  # ends the process
    at = words.index("--") if "--" in words else len(words)
    extra = tuple(words[at + 1 :])
    try:
        colours = False if os.environ.get("NO_COLOR") else None  # None: on a terminal
        with cli.make_context("khorig", list(words[:at]), obj=extra, color=colours) as context:
            status = cli.invoke(context)
    except click.exceptions.Exit as end:  # of --help and --version
        return end.exit_code
    return status if isinstance(status, int) else exit_codes.PASS


def _give_up(error: BaseException, words: Sequence[str]) -> int:
    """Reports why a verb ended, as far as somebody is there to read it. Returns the exit status."""
    from khorig.cli.failure import failure_of

    failure = failure_of(error, words)
    try:
        if not failure.silent:
            for line in (f"khorig: {failure.message}", *(f"  {line}" for line in failure.details)):
                click.echo(line, err=True)
            if _wants_json(words):
                click.echo(failure.document())
        sys.stdout.flush()
    except OSError:
        pass
    # At exit Python flushes again, and would replace the status when that fails.
    _silence(sys.stdout)
    return failure.status


def _wants_json(words: Sequence[str]) -> bool:
    chosen = os.environ.get("KHORIG_JSON", "").lower() not in ("", "0", "false", "no", "off")
    return chosen or "--json" in itertools.takewhile(lambda word: word != "--", words)


def _silence(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
