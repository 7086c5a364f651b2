# SPDX-License-Identifier: BSD-3-Clause
"""A recorded run under gdb, forwards and backwards."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Callable

from khorig.guest.spec import RunSpec
from khorig.vm.build_outputs import Images
from khorig.vm.cancellation import Cancellation
from khorig.vm.command import qemu_argv
from khorig.vm.machines import machine_named
from khorig.vm.qmp import QmpEvent
from khorig.vm.recording import Recording
from khorig.vm.vm import Exited, Vm

_PATIENCE_S = 60.0


def serve_recording(
    spec: RunSpec,
    images: Images,
    recording: Recording,
    instructions: int,
    port: int,
    folder: Path,
    cancellation: Cancellation,
    ready: Callable[[], None],
) -> None:
    """Replays to after so many instructions, calls `ready`, and gives the guest to gdb on `port`
    until the recording is at its end or QEMU at its own. Nobody looks at memory meanwhile: what the
    host has sent is in the recording. `folder` gets console.log, which has again what the guest
    says again. Raises InfraError, Interrupted."""
    machine = machine_named(spec.machine)
    replayed = dataclasses.replace(recording, replayed=True)
    with Vm(
        machine,
        spec,
        lambda wiring: qemu_argv(machine, spec, images, wiring, gdb=port, recording=replayed),
        folder,
        cancellation,
    ) as vm:
        if instructions:
            vm.qmp.execute("replay-break", icount=instructions)
            vm.resume()
            _wait_for(vm, "STOP")
        ready()
        _wait_for(vm, "SHUTDOWN", may_exit=True)


def _wait_for(vm: Vm, name: str, may_exit: bool = False) -> None:
    while True:  # and reads the console, without which the guest stands still
        for event in vm.wait(_PATIENCE_S):
            if isinstance(event, QmpEvent) and event.name == name:
                return
            if isinstance(event, Exited):
                if may_exit:
                    return
                raise vm.died()
