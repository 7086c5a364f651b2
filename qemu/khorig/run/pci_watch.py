# SPDX-License-Identifier: BSD-3-Clause
"""Follows the configuration space of PCI functions through a chain."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

from khorig.guest.chain_run import ChainRun
from khorig.guest.event import GuestEvent
from khorig.guest.pci_config import PciConfig, PciLooks
from khorig.guest.spec import RunSpec
from khorig.vm.qmp import Qmp

_MOST = 200  # changes in a record


class PciWatch:
    """Looks at `sealed`, in user space and at the jump where that is seen, at `entry`, and when the
    next kernel has restored its state. Runs of khorig alone have rules for their devices."""

    def __init__(self, spec: RunSpec, emit: Callable[..., None]) -> None:
        """`emit` writes a record to the journal."""
        self._is_on = isinstance(spec, ChainRun)
        self._emit = emit
        self._last: tuple[int, str, PciConfig] | None = None
        self._sealed: tuple[int, PciConfig] | None = None  # first look of a generation at `sealed`

    def on_event(self, event: GuestEvent, qmp: Qmp) -> None:
        """Every event in order. A Linux is looked at before its devices are shut down. Raises
        EventFieldError, QmpClosed."""
        if event.kind == "stop" and event.text("at") == "sealed":
            self.look(qmp, event.generation, "sealed", is_jump=False)

    def look(self, qmp: Qmp, generation: int, at: str, is_jump: bool) -> PciLooks | None:
        """At a stop; None where nobody looks. Raises QmpClosed."""
        if not self._is_on:
            return None
        where = "jump" if is_jump and at == "sealed" else at
        if self._last is not None and self._last[:2] == (generation, where):
            return PciLooks(self._before(generation), self._last[2])
        from khorig.vm.devices.pci_config import read_pci_config  # once QEMU runs

        now = read_pci_config(qmp)
        self._record(generation, where, now)
        self._last = (generation, where, now)
        if where == "sealed":
            self._sealed = (generation, now)
        return PciLooks(self._before(generation), now)

    def _before(self, generation: int) -> PciConfig | None:
        if self._sealed is None or self._sealed[0] != generation - 1:
            return None
        return self._sealed[1]

    def _record(self, generation: int, at: str, now: PciConfig) -> None:
        fields: dict[str, Any] = {"gen": generation, "at": at, "unread": now.unread}
        if self._last is None:
            fields["functions"] = [dataclasses.asdict(function) for function in now.functions]
            fields |= {"since": "", "changes": []}
        else:
            before, where, config = self._last
            changes = list(config.changes(now))[:_MOST]
            fields["since"] = f"{where} in generation {before}"
            fields["changes"] = [
                {**dataclasses.asdict(change), "text": change.text} for change in changes
            ]
        self._emit("pci", **fields)
