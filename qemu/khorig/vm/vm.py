# SPDX-License-Identifier: BSD-3-Clause
"""One virtual machine with its resources."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Union

from khorig.guest.spec import RunSpec
from khorig.mem.guest_ram import GuestRam
from khorig.vm.cancellation import Cancellation
from khorig.vm.command import Wiring
from khorig.vm.errors import InfraError
from khorig.vm.exit_meaning import cause_in, describe_status
from khorig.vm.journal import Journal
from khorig.vm.limits import Limits
from khorig.vm.machines.machine import Machine
from khorig.vm.probe.plugin import ProbeOptions
from khorig.vm.probe.records import ProbeStop
from khorig.vm.process import QemuProcess
from khorig.vm.qmp import Qmp, QmpClosed, QmpEvent
from khorig.vm.ram_file import RamFile, RamSpec, assumed, ram_spec
from khorig.vm.serial_port import ConsoleItem, SerialPort

if TYPE_CHECKING:
    from khorig.vm.probe.probe import Probe

MINIMUM_QEMU = (7, 2)

_CONSOLE_BUFFER = 4 << 20  # bytes; the kernel takes less where its limit is lower


@dataclass(frozen=True)
class Exited:
    """QEMU exited; no events follow. `status`: as `QemuProcess.status()`."""

    status: int


VmEvent = Union[ConsoleItem, QmpEvent, ProbeStop, Exited]


class Vm:
    """QEMU paused before its first instruction, with console, QMP and RAM attached, so that nothing
    the guest says or does is missed. A context manager: the process is gone afterwards.

    Raises InfraError with QEMU's own words when it does not come up.
    """

    qemu: QemuProcess
    qmp: Qmp
    serial: SerialPort
    ram: GuestRam
    probe: Probe | None
    version: str

    def __init__(
        self,
        machine: Machine,
        spec: RunSpec,
        argv: Callable[[Wiring], list[str]],
        directory: Path,
        cancellation: Cancellation,
        meanwhile: Callable[[], None] = lambda: None,
        limits: Limits = Limits(),
        probe: ProbeOptions | None = None,
    ) -> None:
        """`spec` tells the RAM; `argv` makes the command; `directory` gets console.log,
        qmp.jsonl and qemu.stderr; `meanwhile` is called while QEMU comes up. `probe`
        (khorig.vm.probe.plugin.find_probe) needs TCG, and no gdb: neither lets a CPU wait for the
        host."""
        self._stack = contextlib.ExitStack()
        self._selector = selectors.DefaultSelector()
        self.cancellation = cancellation
        self._binary = machine.binary
        self._limits = limits
        ram = ram_spec(spec)
        try:
            self._start(ram, argv, directory, probe)
            meanwhile()
            self.version = self._handshake()
            if spec.cpu or spec.machine_options or spec.extra_qemu:
                self._check(machine, spec)
            self._find_ram(machine, ram)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Vm:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(
        self,
        ram: RamSpec,
        argv: Callable[[Wiring], list[str]],
        directory: Path,
        probe: ProbeOptions | None,
    ) -> None:
        cancellation = self.cancellation
        enter = self._stack.enter_context
        enter(self._selector)
        nodes = [backend.size for backend in ram.backends]
        self.ram_file = enter(RamFile(ram.size, nodes=nodes))
        console, console_theirs = (enter(end) for end in socket.socketpair())
        # QEMU sends single bytes, each charged with hundreds of bytes: with a full buffer the guest
        # polls until this process runs again, which changes its instruction count.
        console_theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _CONSOLE_BUFFER)
        qmp, qmp_theirs = (enter(end) for end in socket.socketpair())
        self.probe = None
        if probe is not None:
            from khorig.vm.probe.probe import Probe  # most runs have none

            self.probe = enter(Probe(probe))
        wiring = Wiring(
            self.ram_file.descriptors,
            console_theirs.fileno(),
            qmp_theirs.fileno(),
            self.probe.wiring() if self.probe else None,
        )
        self.serial = enter(SerialPort(console, directory / "console.log"))
        log = enter(Journal(directory / "qmp.jsonl"))
        self.qmp = Qmp(qmp, log, self._limits.reply_s, cancellation)
        stderr = directory / "qemu.stderr"
        self.qemu = enter(QemuProcess(argv(wiring), stderr, wiring.descriptors))
        console_theirs.close()
        qmp_theirs.close()
        ends = [self.serial.fileno(), self.qmp.fileno(), self.qemu.fileno(), cancellation.fileno()]
        if self.probe:
            ends.append(self.probe.fileno())
        for descriptor in ends:
            self._selector.register(descriptor, selectors.EVENT_READ)

    def _check(self, machine: Machine, spec: RunSpec) -> None:
        from khorig.vm.machine_check import check_machine  # most machines are as asked for

        try:
            check_machine(self.qmp, machine, spec)
        except QmpClosed as error:
            raise self.died() from error

    def _find_ram(self, machine: Machine, ram: RamSpec) -> None:
        if ram.is_plain:
            found = assumed(machine.ram_regions(ram.size))
        else:
            from khorig.vm.ram_map import ask_ram_map  # most machines are as their table says

            try:
                found = ask_ram_map(self.qmp, ram.backends)
            except QmpClosed as error:
                raise self.died() from error
        self.ram = self.ram_file.guest_ram(found.regions)
        if self.probe:
            self.probe.attach(self.ram, found.pieces)

    def _handshake(self) -> str:
        try:
            version = self.qmp.handshake()
        except QmpClosed as error:
            raise self.died() from error
        numbers = tuple(int(part) if part.isdigit() else 0 for part in version.split("."))
        if numbers < MINIMUM_QEMU:
            needed = ".".join(map(str, MINIMUM_QEMU))
            raise InfraError(f"QEMU {version} is too old: {needed} or later is needed")
        return version

    def died(self) -> InfraError:
        """The error for an unexpected exit of QEMU, with its stderr. Waits for the exit."""
        deadline = time.monotonic() + 1.0
        while (status := self.qemu.status()) is None and time.monotonic() < deadline:
            time.sleep(0.005)
        how = "closed its connections" if status is None else describe_status(status)
        said = self.qemu.stderr_lines()
        cause = cause_in(said, self._binary)
        return InfraError(f"QEMU {how}" + (f": {cause}" if cause else ""), said)

    def resume(self) -> None:
        """Resumes the guest. One that ends before QEMU has answered is no error: `Exited` is then
        the next event."""
        with contextlib.suppress(QmpClosed):
            self.qmp.execute("cont")

    def wait(self, timeout_s: float) -> list[VmEvent]:
        """Waits for events, at most `timeout_s`, and returns them in order; none after a timeout.
        `Exited` comes last, after all output of the guest. Raises Interrupted if cancelled."""
        for key, _ in self._selector.select(max(0.0, timeout_s)):
            if key.fd == self.cancellation.fileno():
                self.cancellation.check()
        status = self.qemu.status()  # before reading, so that no output is missed
        # The console is read last: whatever the guest said before a stop is then there.
        stops, said_by_qemu = self._stops(), self.qmp.receive()
        events: list[VmEvent] = [*self.serial.receive(), *said_by_qemu, *stops]
        if self.serial.closed:
            self._forget(self.serial.fileno())
        if self.qmp.closed:
            self._forget(self.qmp.fileno())
        if status is not None:
            events.append(Exited(status))
        return events

    def _stops(self) -> list[ProbeStop]:
        if self.probe is None or self.probe.closed:
            return []
        descriptor = self.probe.fileno()
        stops = self.probe.receive()
        if self.probe.closed:
            self._forget(descriptor)
        return stops

    def _forget(self, descriptor: int) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(descriptor)
