# SPDX-License-Identifier: BSD-3-Clause
"""Finds the formats of this folder: what a module has in FORMATS is registered."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from pathlib import Path
from typing import Sequence, Union

from khorig.kho.client_decoder import ClientDecoder
from khorig.kho.clients.luo_decoder import LuoDecoder

Format = Union[ClientDecoder, LuoDecoder]


@functools.cache
def all_formats() -> Sequence[Format]:
    """Those of all modules, by the name of the module."""
    found: list[Format] = []
    for module in sorted(pkgutil.iter_modules([str(Path(__file__).parent)]), key=lambda m: m.name):
        found += getattr(importlib.import_module(f"{__package__}.{module.name}"), "FORMATS", ())
    return found
