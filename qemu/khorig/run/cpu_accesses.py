# SPDX-License-Identifier: BSD-3-Clause
"""What a CPU that runs on fetches and stores, by the probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khorig.guest.machine import Outside

if TYPE_CHECKING:
    from khorig.kho.clients.live_cpu import LiveCpu
    from khorig.vm.cpu_view import CpuView
    from khorig.vm.probe.probe import Probe


class CpuAccesses:
    """Watches one CPU from a stop on: it fetches from its text, and stores to its stack and its
    counter."""

    def __init__(self, probe: Probe, view: CpuView) -> None:
        self._probe, self._view = probe, view

    def expect(self, live: LiveCpu, page_size: int) -> None:
        """From now on. Raises InfraError when the probe does not work, or QEMU has no such CPU."""
        from khorig.mem.memory import PhysRange
        from khorig.vm.errors import InfraError

        self._probe.check()
        number = self._view.number_of(live.hardware_id)
        if number is None:
            raise InfraError(f"QEMU names no CPU with hardware id {live.hardware_id:#x}")
        text = PhysRange(live.page("text").physical, page_size)
        written = [PhysRange(page.physical, page_size) for page in live.written]
        self._probe.expect_inside("fetch", [text], number)
        self._probe.expect_inside("store", written, number)

    @property
    def outside(self) -> tuple[Outside, ...]:
        """What it has done elsewhere since."""
        fetches, stores = self._probe.outside("fetch"), self._probe.outside("store")
        return tuple(
            Outside(
                kind,
                seen.count,
                seen.first.pc if seen.first else None,
                seen.first.physical if seen.first else None,
            )
            for kind, seen in (("fetches", fetches), ("stores", stores))
        )
