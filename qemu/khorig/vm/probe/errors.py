# SPDX-License-Identifier: BSD-3-Clause
"""Errors of the probe."""

from __future__ import annotations

from khorig.mem.errors import Error


class NoProbe(Error):
    """Why there is no probe for a QEMU."""


class ProbeLimit(Error):
    """More ranges, addresses or pages than the probe has room for."""
