# SPDX-License-Identifier: BSD-3-Clause
"""Records a run, for a debugger that goes back in time."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from khorig.guest.event import GuestEvent
from khorig.mem.untrusted import Untrusted, count
from khorig.run.debug.debugger import Debugger
from khorig.vm.errors import InfraError
from khorig.vm.qmp import QmpClosed
from khorig.vm.recording import Recording
from khorig.vm.vm import Exited, Vm

_QUIT_S = 20.0


@dataclass(frozen=True)
class RecordedStop:
    """A stop of the guest in a recording."""

    generation: int
    instructions: int  # executed before, while the guest waited for the host
    boot: GuestEvent | None  # of the kernel that was running


class Recorder(Debugger):
    """Holds nothing up. Does one run."""

    def __init__(self, recording: Recording, at: tuple[str, int] | None = None) -> None:
        """`at`: the stop and its generation to remember; None: the last one."""
        self.recording = recording
        self._at = at
        self.stop: RecordedStop | None = None  # the one that was asked for, once reached

    def at_stop(self, vm: Vm, stop: GuestEvent, boot: GuestEvent | None) -> None:
        """See Debugger."""
        if self._at in (None, (stop.fields.get("at"), stop.generation)):
            try:
                instructions = count(vm.qmp.execute("query-replay")["icount"])
            except (LookupError, TypeError, Untrusted) as error:
                raise InfraError("QEMU does not say how far its recording is") from error
            self.stop = RecordedStop(stop.generation, instructions, boot)

    def finish(self, vm: Vm) -> None:
        """See Debugger. QEMU writes the end of its recording when it is told to quit."""
        with contextlib.suppress(QmpClosed):  # it has
            vm.qmp.execute("quit")
        deadline = time.monotonic() + _QUIT_S
        while not any(isinstance(event, Exited) for event in vm.wait(0.1)):
            if time.monotonic() >= deadline:
                raise InfraError("QEMU did not write its recording in time")
