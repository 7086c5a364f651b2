# SPDX-License-Identifier: BSD-3-Clause
"""QEMU's command line for a run."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Sequence

from khorig.guest.spec import RunSpec
from khorig.vm.build_outputs import Images
from khorig.vm.machines.machine import Machine
from khorig.vm.needed_devices import device_arguments
from khorig.vm.probe.wiring import ProbeWiring
from khorig.vm.ram_file import ram_spec

if TYPE_CHECKING:
    from khorig.vm.recording import Recording


@dataclass(frozen=True)
class Wiring:
    """File descriptors inherited by QEMU. They have no names in the file system, so none can be
    left behind."""

    ram: tuple[int, ...]  # one, or one for each NUMA node with memory
    console: int
    qmp: int
    probe: ProbeWiring | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All of them."""
        probe = (self.probe.control, self.probe.socket) if self.probe else ()
        return (*self.ram, self.console, self.qmp, *probe)


def _common(
    machine: Machine, spec: RunSpec, images: Images, recording: Recording | None = None
) -> list[str]:
    # Virtual time counts instructions, for reproducible runs; sleep=off skips idle time.
    shift = machine.icount_shift(spec.boot)
    # While it records, input would never reach a guest that polls with sleep=off (QEMU 7.2).
    how = recording.icount if recording else "sleep=off"
    clock = ["-icount", f"shift={shift},{how}", "-rtc", "base=2020-01-01,clock=vm"]
    return [
        machine.emulator(spec.qemu),
        *machine.arguments(spec.accel, spec.cpu, spec.machine_options),
        *("-m", f"{spec.memory >> 10}K"),
        *(("-smp", str(spec.smp)) if spec.smp > 1 else ()),
        *(clock if spec.counted else []),
        *((*recording.arguments, *machine.replay_arguments) if recording else ()),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *_start(machine, spec, images),
    ]


def _start(machine: Machine, spec: RunSpec, images: Images) -> list[str]:
    named = ["-kernel", str(images.kernel), "-initrd", str(images.archive)]
    if spec.boot != "uefi":
        return [*machine.direct_boot_arguments, *named]
    assert machine.firmware is not None
    if images.volume is None:
        # The firmware itself starts an image with an EFI stub, and hands it initrd and options.
        return [*machine.firmware.arguments(), *named]
    return [*machine.firmware.arguments(), *machine.firmware.volume_arguments(images.volume)]


def _append(spec: RunSpec, images: Images, with_stops: bool) -> list[str]:
    """The command line, unless it is on the volume."""
    if images.volume is not None:
        return []
    return ["-append", spec.command_line(1, with_stops)]


def _ram(spec: RunSpec, kinds: Sequence[str]) -> list[str]:
    """RAM, in a backend of each of these kinds."""
    ram = ram_spec(spec)
    words = []
    for backend, kind in zip(ram.backends, kinds):
        name, _, rest = kind.partition(",")
        options = (f"memory-backend-{name}", f"id={backend.name}", f"size={backend.size}", rest)
        words += ["-object", ",".join(filter(None, options))]
    if not ram.nodes:
        return [*words, "-machine", "memory-backend=ram"]
    for node, size in enumerate(ram.nodes):
        words += ["-numa", f"node,nodeid={node}" + (f",memdev=ram{node}" if size else "")]
    return words


def qemu_argv(
    machine: Machine,
    spec: RunSpec,
    images: Images,
    wiring: Wiring,
    gdb: int | None = None,
    recording: Recording | None = None,
) -> list[str]:
    """QEMU command of a run: paused, with console, QMP and RAM on inherited descriptors, and a gdb
    stub on port `gdb` of localhost. `recording` is made or replayed."""
    files = [f"file,share=on,mem-path=/proc/self/fd/{file}" for file in wiring.ram]
    return [
        *_common(machine, spec, images, recording),
        *_append(spec, images, with_stops=True),
        *_ram(spec, files),
        *("-chardev", f"socket,id=console,fd={wiring.console}", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=qmp,fd={wiring.qmp}", "-qmp", "chardev:qmp"),
        *(wiring.probe.arguments(wiring.ram) if wiring.probe else ()),
        # After a triple fault or a reset QEMU would exit, and the registers be gone.
        *("-action", "shutdown=pause"),
        "-S",
        *(("-gdb", f"tcp:127.0.0.1:{gdb}") if gdb is not None else ()),
        *device_arguments(spec.devices, spec.extra_qemu),
        *spec.extra_qemu,
    ]


def standalone_command(machine: Machine, spec: RunSpec, images: Images) -> str:
    """Shell command for the same machine without the rig: console on stdio, no stops. Under UEFI
    the command line is unchanged, and the guest waits at its stops for a `g`."""
    return shlex.join(
        [
            *_common(machine, spec, images),
            *_append(spec, images, with_stops=False),
            *_ram(spec, ["ram"] * len(ram_spec(spec).backends)),
            *("-serial", "stdio"),
            *device_arguments(spec.devices, spec.extra_qemu),
            *spec.extra_qemu,
        ]
    )
