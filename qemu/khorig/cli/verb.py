# SPDX-License-Identifier: BSD-3-Clause
"""What all of khorig's verbs have in common."""

from __future__ import annotations

from typing import Any, Sequence

import click

from khorig.cli.suggest import unknown


class Verb(click.Command):
    """A verb. Each of its options can be given as KHORIG_<OPTION> in the environment, too."""

    def __init__(self, *arguments: Any, takes_qemu: bool = False, **settings: Any) -> None:
        """`takes_qemu`: what follows `--` on the command line goes to QEMU."""
        super().__init__(*arguments, **settings)
        self._takes_qemu = takes_qemu
        for option in self.params:
            if isinstance(option, click.Option):
                option.envvar = "KHORIG_" + option.opts[0].lstrip("-").upper().replace("-", "_")

    def invoke(self, ctx: click.Context) -> Any:
        """Raises UsageError for arguments of QEMU that no QEMU would get."""
        if ctx.obj and not self._takes_qemu:
            raise click.UsageError(
                f"'{ctx.command_path}' starts no QEMU to pass arguments to (after '--')", ctx
            )
        return super().invoke(ctx)


class VerbGroup(click.Group):
    """Verbs behind a first word, such as those of `khorig linux`. Suggests the nearest for an
    unknown one."""

    command_class = Verb
    elsewhere: Sequence[str] = ()  # verbs to suggest that are not ours

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises UsageError."""
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            raise unknown("command", args[0], [*known, *self.elsewhere])
        return super().resolve_command(ctx, args)
