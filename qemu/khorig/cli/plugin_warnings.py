# SPDX-License-Identifier: BSD-3-Clause
"""Plugins that cannot be used, for people."""

from __future__ import annotations

import contextlib
import warnings
from typing import Iterator, TextIO

import click

from khorig.plugins.warning import PluginWarning


@contextlib.contextmanager
def plugin_warnings() -> Iterator[None]:
    """Prints each PluginWarning as one line, without the place in the source."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", PluginWarning)
        usual = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, PluginWarning):
                click.echo(f"khorig: {message}", err=True)
            else:
                usual(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield
