# SPDX-License-Identifier: BSD-3-Clause
"""The order of what QEMU, the guest and the probe say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from khorig.vm.probe.records import ProbeStop
from khorig.vm.vm import Vm


def test_a_stop_comes_behind_what_the_guest_said_before_it() -> None:
    """A guest that says something and stops while its channels are read."""
    stop = ProbeStop("fetch", 0, 0x1000, 0x1000)
    said: list[str] = []

    def stops() -> list[ProbeStop]:
        said.append("@khorig jump")
        return [stop]

    silent = SimpleNamespace(receive=lambda: [], closed=False)
    vm = SimpleNamespace(
        _selector=SimpleNamespace(select=lambda timeout_s: []),
        qemu=SimpleNamespace(status=lambda: None),
        serial=SimpleNamespace(receive=lambda: [said.pop()] if said else [], closed=False),
        qmp=silent,
        _stops=stops,
    )
    events: list[Any] = Vm.wait(cast(Vm, vm), 0.0)
    assert events == ["@khorig jump", stop]
