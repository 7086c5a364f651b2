# SPDX-License-Identifier: BSD-3-Clause
"""Who changed memory that should not have changed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from khorig.mem.untrusted import items, texts, typed
from khorig.rules.changed import MOST_PAGES
from khorig.run.watched_page import WatchedPage

MOST_STORES = 32
_SHOWN = 3


@dataclass(frozen=True)
class StoreBy:
    """A store of a CPU. Addresses and values are hexadecimal text."""

    cpu: int
    generation: int  # that ran
    pc: str  # "0xffffffff80001234"
    symbol: str  # "base::Panic+0x34 (kernel/cpus/panic.cc:63)", "" where none is known
    address: str  # physical
    size: int  # bytes
    before: str  # as a little-endian number
    after: str
    # Of all CPUs since the watch began; among them the guest's polls until the host lets it go on.
    instructions: int

    def lines(self, since: str) -> tuple[str, str]:
        """Who stored what, and where its code is."""
        size = "1 byte" if self.size == 1 else f"{self.size} bytes"
        what = f"stored {size} at {self.address}: {self.before} -> {self.after}"
        return (
            f"CPU {self.cpu} in generation {self.generation} {what}, after {since}",
            f"  by {self.pc} {self.symbol}".rstrip(),
        )


@dataclass(frozen=True)
class Who:
    """Writers of the pages of a failure, found by a second run with these pages watched."""

    generation: int  # the watch began at this stop
    stop: str
    pages: tuple[str, ...] = ()  # watched, "0x0000000002400000"
    others: tuple[WatchedPage, ...] = ()  # of them: elsewhere than in the first run, or not found
    count: int = 0  # of stores by CPUs
    stores: tuple[StoreBy, ...] = ()  # the last of them, the last one first
    rig: tuple[str, ...] = ()  # what the rig itself wrote there, one line each
    nobody: tuple[str, ...] = ()  # changed bytes that no CPU stored and the rig did not write
    devices: tuple[str, ...] = ()  # that could write there in the end, if nobody did
    unseen: tuple[str, ...] = ()  # writers that the probe cannot see
    note: str = ""  # why less is known than there could be

    @staticmethod
    def of(record: Any) -> Who | None:
        """From JSON. Raises Untrusted."""
        special = {**_TEXTS, "stores": _stores, "others": _others}
        return None if record is None else typed(Who, record, **special)

    def json(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    @property
    def lines(self) -> tuple[str, ...]:
        """Text, the answer first."""
        since = f"{self.stop} in generation {self.generation}"
        last_by_pc: dict[str, StoreBy] = {}
        for store in self.stores:
            last_by_pc.setdefault(store.pc, store)
        shown = list(last_by_pc.values())[:_SHOWN]
        lines = [line for store in shown for line in store.lines(since)]
        if self.count > len(shown):
            lines.append(f"{self.count} stores since {since} in all; shown: the last of each PC")
        lines += [f"the rig's own {line}" for line in self.rig]
        if self.nobody:
            bytes_of = "; ".join(self.nobody)
            by = f"device: {', '.join(self.devices)}" if self.devices else "device or host"
            lines.append(f"no CPU stored there since {since}: {by} ({bytes_of})")
            lines.append(f"not seen by the probe: {', '.join(self.unseen)}")
        if self.note:
            lines.append(self.note)
        lines += [page.line for page in self.others[:_SHOWN]]
        if len(self.others) > _SHOWN:
            lines.append(f"{len(self.others) - _SHOWN} more pages elsewhere or not found")
        return tuple(lines)


def _stores(value: Any) -> tuple[StoreBy, ...]:
    return tuple(typed(StoreBy, store) for store in items(value)[:MOST_STORES])


def _others(value: Any) -> tuple[WatchedPage, ...]:
    return tuple(WatchedPage.of(page) for page in items(value)[:MOST_PAGES])


_TEXTS = {name: texts for name in ("pages", "rig", "nobody", "devices", "unseen")}
