# SPDX-License-Identifier: BSD-3-Clause
"""The name of a peer to build, as an argument."""

from __future__ import annotations

from typing import Any

import click

from khorig.cli.suggest import unknown
from khorig.linux.kconfig_option import KconfigOption
from khorig.linux.peer import STOCK, VERSIONS


class FlavourName(click.ParamType):
    """A peer that can be built: a version and Kconfig symbols."""

    name = "peer"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[KconfigOption, ...]]:
        from khorig.linux.flavour import split_flavour

        known = [f"linux-{version}" for version in (*VERSIONS, STOCK)]
        try:
            peer, settings = split_flavour(str(value))
        except ValueError as error:
            self.fail(f"'{value}': {error}", param, ctx)
        if peer not in known:
            raise unknown("peer", peer, known)
        version = peer.removeprefix("linux-")
        if settings and version == STOCK:
            self.fail(f"'{value}': {peer} is as Debian has built it", param, ctx)
        return version, settings
