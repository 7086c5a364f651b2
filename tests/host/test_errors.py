# SPDX-License-Identifier: BSD-3-Clause
"""One base class for everything that khorig raises on purpose."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Iterator

import khorig
from khorig.mem.errors import Error

_NOT_IMPORTED = ("khorig.__main__", "khorig.cli")  # the verbs raise click's exceptions


def _modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(khorig.__path__, "khorig."):
        if not found.name.startswith(_NOT_IMPORTED):
            yield importlib.import_module(found.name)


def _exceptions(module: ModuleType) -> Iterator[type[Exception]]:
    """Those that a module defines."""
    for _, kind in inspect.getmembers(module, inspect.isclass):
        if issubclass(kind, BaseException) and kind.__module__ == module.__name__:
            yield kind


def test_every_exception_derives_from_the_base() -> None:
    found = {kind for module in _modules() for kind in _exceptions(module)}
    strangers = [f"{k.__module__}.{k.__name__}" for k in found if not issubclass(k, Error)]
    assert not strangers, f"not derived from khorig.Error: {', '.join(sorted(strangers))}"
    names = {kind.__name__ for kind in found}
    assert names >= {"DecodeError", "InfraError", "NoHandover", "UnreadableDump", "EventFieldError"}


def test_a_stranger_is_found() -> None:
    module = ModuleType("khorig.stranger")
    kind = type("Stranger", (ValueError,), {"__module__": module.__name__})
    setattr(module, "Stranger", kind)
    setattr(module, "Borrowed", Error)
    assert list(_exceptions(module)) == [kind]
