# SPDX-License-Identifier: BSD-3-Clause
"""Errors of bundles."""

from __future__ import annotations

from khorig.mem.errors import Error


class BrokenBundle(Error):
    """A file is no bundle, or a damaged one, or one that asks for what a bundle may not; nothing
    was run. The message names the member and what is wrong."""
