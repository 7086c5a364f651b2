# SPDX-License-Identifier: BSD-3-Clause
"""khorig's verbs."""

from __future__ import annotations

import importlib

import click

from khorig.cli.verb import VerbGroup

# Each verb as "module:command" below khorig.cli, in the order of the help. A verb is imported on
# use: the dump readers import numpy, and most verbs do without.
_VERBS = {
    "run": "run:run",
    "linux": "linux:linux",
    "bisect": "bisect:bisect",
    "teeth": "teeth:teeth",
    "bench": "bench:bench",
    "inspect": "inspect:inspect",
    "check": "check:check",
    "explain": "explain:explain",
    "catalogue": "catalogue:catalogue",
    "diff": "diff:diff",
    "export": "export:export",
    "replay": "replay:replay",
    "bundle": "bundle:bundle",
    "rerun": "rerun:rerun",
    "report": "report:report",
    "qemu": "qemu:qemu",
    "clean": "clean:clean",
    "list": "listing:list_command",
    "doctor": "doctor:doctor",
}


class Verbs(VerbGroup):
    """Imports verbs on use and suggests the nearest for an unknown one."""

    elsewhere = ("test", "mutants")  # of scripts/khorig

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module, name = _VERBS[cmd_name].split(":")
        command = getattr(importlib.import_module(f"khorig.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command
