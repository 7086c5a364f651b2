# SPDX-License-Identifier: BSD-3-Clause
"""A plugin that cannot be used."""

from __future__ import annotations

from khorig.mem.errors import Error


class PluginWarning(Error, UserWarning):
    """Issued by `warnings`; the text names the entry point, its distribution and what is wrong."""
