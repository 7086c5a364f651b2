# SPDX-License-Identifier: BSD-3-Clause
"""Which renderer suits where the output goes."""

from __future__ import annotations

import os
from typing import TextIO

from khorig.out.plain import PlainRenderer
from khorig.run.outputs import Renderer


def renderer_for(stream: TextIO, verbose: bool) -> Renderer:
    """Live on a terminal, uncoloured where NO_COLOR is set; plain lines elsewhere and in CI."""
    environment = os.environ
    plain = not stream.isatty() or environment.get("TERM") == "dumb"
    if plain or environment.get("CI"):
        return PlainRenderer(stream, verbose)
    from khorig.out.live import LiveRenderer

    return LiveRenderer(stream, verbose)
