# SPDX-License-Identifier: BSD-3-Clause
"""A table that entry points extend."""

from __future__ import annotations

import threading
from typing import Any, Callable, Generic, Iterable, Iterator, Mapping, TypeVar

from khorig.plugins.entry_points import load_plugins
from khorig.plugins.plugin import Plugin

T = TypeVar("T")


class Table(Mapping[str, T], Generic[T]):
    """What the tree has of a kind, by name, and after it what other distributions add. Those are
    loaded when the table is read for the first time, not when it is imported: the module of a
    plugin may import whatever it needs."""

    def __init__(
        self,
        group: str,
        kind: type,
        name: Callable[[T], str],
        built_in: Iterable[T],
        beside: tuple[type, ...] = (),
    ) -> None:
        """`beside` are kinds of the same group that other tables take."""
        self._group, self._kind, self._name = group, kind, name
        self._beside = beside
        self._found = {name(value): (value, "") for value in built_in}
        self._is_read = False
        self._lock = threading.RLock()

    @property
    def _entries(self) -> dict[str, tuple[T, str]]:
        with self._lock:
            if not self._is_read:
                # What a plugin reads of the table while it is imported is what is there already.
                self._is_read = True
                for plugin in load_plugins(self._group):
                    self._add(plugin)
        return self._found

    def _add(self, plugin: Plugin) -> None:
        value: Any = plugin.value
        is_taken = isinstance(value, self._kind)
        if is_taken:
            name = self._name(value)
            if name in self._found:
                plugin.refuse(f"there is a {self._kind.__name__} '{name}' already")
            else:
                self._found[name] = (value, plugin.distribution)
        elif not isinstance(value, self._beside):
            expected = " or ".join(sorted(kind.__name__ for kind in (self._kind, *self._beside)))
            plugin.refuse(f"it is of type {type(value).__name__}, expected {expected}")

    def __getitem__(self, name: str) -> T:
        return self._entries[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def distribution(self, name: str) -> str:
        """What added an entry, "khorig-netdev 1.0"; "" for the tree's own. Raises KeyError."""
        return self._entries[name][1]
