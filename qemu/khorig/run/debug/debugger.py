# SPDX-License-Identifier: BSD-3-Clause
"""When a run waits for gdb."""

from __future__ import annotations

from typing import Callable, TYPE_CHECKING

from khorig.guest.event import GuestEvent
from khorig.vm.errors import InfraError
from khorig.vm.qmp import QmpEvent
from khorig.vm.vm import Exited, Vm

if TYPE_CHECKING:
    from khorig.vm.recording import Recording

_FOREVER_S = 1e6  # about the maximum of a selector
_PATIENCE_S = 60.0

# Told when gdb may come: the generation that is running, and its event `boot`.
Announce = Callable[[int, GuestEvent | None], None]


class Debugger:
    """No debugger: a run that is not held up."""

    port_at_start: int | None = None  # of QEMU's gdb stub; the guest then waits for gdb
    recording: Recording | None = None  # to be made of the run
    patient = False  # whether gdb has the guest: no timeout, no hang

    def start(self, vm: Vm) -> None:
        """Once, when QEMU is up: lets the guest run, or leaves that to gdb. Raises InfraError."""
        vm.resume()

    def wait_s(self, left_s: float) -> float:
        """How long to wait for the guest where `left_s` is what it has left."""
        return _PATIENCE_S if self.patient else left_s

    def at_stop(self, vm: Vm, stop: GuestEvent, boot: GuestEvent | None) -> None:
        """At each stop, before the host looks; may wait. `boot` is that of the running kernel.
        Raises InfraError, Interrupted."""

    def finish(self, vm: Vm) -> None:
        """Once, behind the last look at the guest. Raises InfraError, Interrupted."""


class GdbFromStart(Debugger):
    """Waits for gdb before the first instruction."""

    patient = True

    def __init__(self, port: int) -> None:
        self.port_at_start = port

    def start(self, vm: Vm) -> None:
        """See Debugger."""


class GdbAtStop(Debugger):
    """Waits for gdb at a stop of the guest, before the host looks at its memory. The host goes on
    as soon as gdb lets the guest run."""

    def __init__(self, port: int, generation: int, at: str, announce: Announce) -> None:
        self._port = port
        self._place = (generation, at)
        self._announce = announce

    def at_stop(self, vm: Vm, stop: GuestEvent, boot: GuestEvent | None) -> None:
        """See Debugger."""
        if (stop.generation, stop.fields.get("at")) != self._place:
            return
        self.patient = True
        vm.qmp.execute("stop")
        answer = vm.qmp.monitor(f"gdbserver tcp:127.0.0.1:{self._port}")
        vm.qmp.receive()  # what `stop` has caused
        if "Could not" in answer or "ailed" in answer:
            raise InfraError(f"no gdb stub on port {self._port}: {answer.strip()}")
        self._announce(stop.generation, boot)
        while True:
            for event in vm.wait(_FOREVER_S):
                if isinstance(event, QmpEvent) and event.name == "RESUME":
                    return
                if isinstance(event, Exited):
                    raise vm.died()
