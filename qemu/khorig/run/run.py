# SPDX-License-Identifier: BSD-3-Clause
"""One run: a machine from its first instruction to the verdict."""

from __future__ import annotations

import dataclasses
import signal
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator, Sequence

from khorig.guest import status as exit_status
from khorig.guest.event import EventFieldError, GuestEvent
from khorig.guest.spec import RunSpec
from khorig.guest.spec_json import spec_to_json
from khorig.mem.guest_ram import GuestRam
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol import definitions as rules
from khorig.run.debug.debugger import Debugger
from khorig.run.ending import Ending
from khorig.run.event_record import event_record
from khorig.run.firmware_monitor import FirmwareMonitor
from khorig.run.guest_clock import GuestClock
from khorig.run.guest_monitor import GuestMonitor
from khorig.run.keep import Keep
from khorig.run.judging import Judge, Statistics, StopContext, StopHook, shown_by
from khorig.run.kernel_stops import KernelStops
from khorig.run.look import Look
from khorig.run.run_file import kernel_digests
from khorig.run.sequence import Sequence as EventSequence
from khorig.run.stop_images import StopImages
from khorig.vm.build_outputs import Images
from khorig.vm.cancellation import Cancellation
from khorig.vm.command import qemu_argv
from khorig.vm.errors import InfraError, Interrupted
from khorig.vm.journal import Journal
from khorig.vm.limits import Limits
from khorig.vm.machines.machine import Machine
from khorig.vm.probe.records import ProbeStop
from khorig.vm.progress_watch import ProgressWatch
from khorig.vm.qmp import QmpClosed, QmpEvent
from khorig.vm.serial_port import ConsoleLine, GarbledLine
from khorig.vm.symbols_by_generation import SymbolsByGeneration
from khorig.vm.vm import Exited, Vm, VmEvent

if TYPE_CHECKING:
    from khorig.run.store_watch import StoreWatch

_MAX_FINDINGS = 40


class Run:
    """Runs `spec` once. All events go to the journal, the verdict last.

    Every wait ends on the next event, guest death, QEMU death, a hang, the timeout or cancellation.
    """

    def __init__(
        self,
        spec: RunSpec,
        machine: Machine,
        images: Images,
        judge: Callable[[], Judge],
        hooks: Sequence[StopHook],
        directory: Path,
        journal: Journal,
        cancellation: Cancellation,
        keep: Keep,
        limits: Limits,
        debugger: Debugger,
        watch: StoreWatch | None = None,
    ) -> None:
        """`judge` makes the judge while QEMU comes up: what it needs takes long to import.
        `watch` finds out who changes memory."""
        self._spec, self._machine, self._images = spec, machine, images
        self._make_judge = judge
        self._statistics = Statistics()
        self._hooks, self._directory = hooks, directory
        self._journal, self._cancellation, self._limits = journal, cancellation, limits
        self._debugger, self._watch = debugger, watch
        self._started_s = time.monotonic()
        self._findings: list[Finding] = []
        self._sequence = EventSequence(spec)
        symbols = SymbolsByGeneration(spec, images.elves)
        self._ending = Ending(spec, machine, symbols, self._emit, self._sequence.whereabouts)
        self._kernels = KernelStops.of(spec, images.elves)
        self._monitor = GuestMonitor(spec)
        self._firmware = FirmwareMonitor(spec)
        self._ending_by_s: float | None = None
        self._has_ended = False  # any kernel, by its own word
        self._boot: GuestEvent | None = None
        self._clock = GuestClock(spec.timeout_s * (watch.slower if watch else 1))
        self._stop_images = StopImages(directory, machine, cancellation, spec, limits, keep)
        self._version = ""
        self._ram: GuestRam | None = None
        self._status: int | None = None
        self._tail: tuple[str, ...] = ()
        self._wall_s: float | None = None

    def execute(self) -> None:
        """Never raises: errors become part of the verdict."""
        try:
            kernels = kernel_digests(self._images)
            self._emit("start", id=self._spec.id, spec=spec_to_json(self._spec), kernels=kernels)
            self._run_vm()
        except Interrupted as interrupt:
            name = signal.Signals(interrupt.signal_number).name
            self._add_infra(f"interrupted by {name}")
        except InfraError as error:
            self._add_infra(error.what, error.evidence)
        except OSError as error:
            self._add_infra(f"{error.filename or 'output folder'}: {error.strerror}")
        except Exception as error:  # a bug of the rig must not look like one of the guest
            lines = traceback.format_exc().splitlines()
            self._add_infra(f"bug in khorig: {error!r}", tuple(lines[-12:]))
        try:
            self._emit_verdict()
        except OSError:
            pass  # the listeners have it; the error was reported above

    def _run_vm(self) -> None:
        def command(wiring: Any) -> list[str]:
            gdb, recording = self._debugger.port_at_start, self._debugger.recording
            words = qemu_argv(
                self._machine, self._spec, self._images, wiring, gdb=gdb, recording=recording
            )
            (self._directory / "qemu.argv").write_text("\n".join(words) + "\n")
            return words

        with Vm(
            self._machine,
            self._spec,
            command,
            self._directory,
            self._cancellation,
            self._prepare,
            self._limits,
            self._watch.options if self._watch else self._kernels.options,
        ) as vm:
            self._version = vm.version
            self._ram = vm.ram
            self._emit("qemu", version=vm.version, pid=vm.qemu.pid)
            watch = ProgressWatch(vm, self._machine, self._limits)
            self._debugger.start(vm)
            self._clock.start()
            try:
                self._status = self._drive(vm, watch)
            except QmpClosed as error:
                raise vm.died() from error
            finally:
                self._statistics = self._judge.statistics
                self._tail = tuple(vm.serial.tail)
            self._settle()
            if self._watch:
                self._emit("who", **self._watch.finish(vm).json())
            self._wall_s = time.monotonic() - self._started_s
            generation, failed = self._sequence.executing, bool(self._findings)
            self._emit_images(self._stop_images.at_end(vm, generation, failed))
            self._debugger.finish(vm)

    def _prepare(self) -> None:
        from khorig.run.pci_watch import PciWatch
        from khorig.run.poke.poker import Poker

        self._judge = self._make_judge()
        self._pci = PciWatch(self._spec, self._emit)
        self._poker = Poker(self._spec.pokes)

    def _drive(self, vm: Vm, watch: ProgressWatch) -> int | None:
        """Follows the guest to its end. Returns QEMU's status, None if a finding ended the run."""
        while True:
            left_s = min(self._clock.left_s, watch.next_look_in_s)
            if self._ending_by_s is not None:
                left_s = min(left_s, self._ending_by_s - time.monotonic())
            is_over = False
            for event in vm.wait(self._debugger.wait_s(left_s)):
                kind, fields = event_record(event)
                self._emit(kind, **fields)  # all of them, also after a finding
                if is_over:
                    continue
                if isinstance(event, Exited):
                    return self._on_exit(vm, event.status)
                is_over = self._handle(vm, event)
            if is_over:
                return None
            if self._debugger.patient:
                continue
            if self._ending_by_s is not None and time.monotonic() >= self._ending_by_s:
                if self._monitor.linux_dies:
                    self._ending.take_look(vm, watch)
                return None
            if self._clock.left_s <= 0:
                found = self._ending.deadline(vm, watch, self._boot is not None)
                self._add(*(() if self._monitor.linux_dies else (found,)))
                return None
            if self._hangs(vm, watch):
                return None

    def _handle(self, vm: Vm, event: VmEvent) -> bool:
        """Processes one event. Returns whether to end the run."""
        findings: list[Finding] = []
        if isinstance(event, ConsoleLine):
            findings = self._on_text(event.text)
        elif isinstance(event, GarbledLine):
            what = f"garbled event ({event.why}): {event.text[:200]}"
            self._add(self._finding(rules.WELL_FORMED, what))
        elif isinstance(event, QmpEvent):
            findings = self._on_qmp(vm, event)
        elif isinstance(event, ProbeStop):
            findings = self._on_probe(vm, event)
        elif isinstance(event, GuestEvent):
            try:
                findings = self._on_event(vm, event)
            except EventFieldError as error:
                findings = [self._finding(rules.WELL_FORMED, str(error))]
        if vm.serial.total_bytes > self._limits.console:
            what = f"more than {self._limits.console} bytes of console output"
            findings.append(self._finding(rules.WELL_FORMED, what))
        self._add(*findings)
        return bool(findings) or self._monitor.has_said_all

    def _on_text(self, text: str) -> list[Finding]:
        self._ending.on_text(text)
        if self._monitor.on_text(text, self._ending.speaking):
            limits, has_panicked = self._limits, self._monitor.linux_panicked
            wait_s = limits.last_words_s if has_panicked else limits.oops_s
            self._ending_by_s = time.monotonic() + wait_s
        return self._firmware.on_text(text)

    def _on_event(self, vm: Vm, event: GuestEvent) -> list[Finding]:
        self._stop_images.facts.take(event)
        findings = self._sequence.on_event(event)
        self._ending.on_event(event)
        if event.kind == "boot":
            self._boot = event
            self._firmware.on_boot()
        if event.kind in ("panic", "error"):
            self._ending_by_s, self._has_ended = time.monotonic() + self._limits.last_words_s, True
        self._add(*self._monitor.on_event(event))
        if not self._has_ended and not self._monitor.linux_dies:
            self._ending_by_s = None  # it goes on after its BUG or Oops
        findings += self._judge.on_event(event)
        self._poker.on_event(event)
        self._pci.on_event(event, vm.qmp)
        if self._watch:
            self._watch.on_event(event, vm)
        findings += self._kernels.on_event(event, vm.probe)
        if event.kind == "stop" and not findings and not self._kernels.arm(vm.probe, event):
            # The guest polls meanwhile: with -icount QMP's 'cont' may deadlock (seen with 7.2.22).
            with self._clock.host():
                findings = self._on_stop(vm, event)
        if event.kind == "stop" and not findings:
            vm.serial.send(b"g")
        return findings

    def _on_probe(self, vm: Vm, stop: ProbeStop) -> list[Finding]:
        event, findings = self._kernels.take(stop), list[Finding]()
        if event is not None:
            if event.text("at") == "entry":
                self._ending.on_event(event)
                findings = self._sequence.on_entry(event.generation) + self._kernels.missed()
            with self._clock.host():
                findings = findings or self._on_stop(vm, event, is_jump=True)
        if not findings and vm.probe is not None:
            vm.probe.resume()
        return findings

    def _on_stop(self, vm: Vm, event: GuestEvent, is_jump: bool = False) -> list[Finding]:
        at = event.text("at")
        self._debugger.at_stop(vm, event, self._boot)
        started_s = time.monotonic()
        self._ending.on_stop(vm)
        facts = self._machine.facts(self._spec.memory)
        boot = self._boot if self._boot and self._boot.generation == event.generation else None
        shift = self._spec.geometry_shift(number := event.generation, at)
        context = StopContext(number, at, event, vm.ram, facts, boot, shift, is_jump=is_jump)
        look = Look(vm, self._machine, self._spec, self._emit, self._pci)
        context = look.before(context)
        findings = look.after(context, self._judge.on_stop(context))
        host_ms = round((time.monotonic() - started_s) * 1000, 3)
        self._emit("stop", gen=event.generation, at=at, host_ms=host_ms)
        for kind, fields in shown_by(self._judge, context):
            self._emit(kind, gen=event.generation, at=at, **fields)
        self._emit_images(self._stop_images.at_stop(vm, event.generation, at))
        if self._watch:
            self._watch.before_rig(context, vm)
        if not findings:
            for hook in self._hooks:
                if lines := hook(context):
                    self._emit("hook", gen=event.generation, at=at, lines=lines)
                    if self._spec.tamper is not None:
                        self._judge.on_tampered(context)
            findings = self._poke(context)
        if self._watch:
            self._watch.after_rig(context, vm)
        return findings

    def _poke(self, context: StopContext) -> list[Finding]:
        """Last at a stop, after judge and image."""
        done, findings = self._poker.on_stop(context)
        for poked in done:
            self._emit("hook", gen=context.generation, at=context.at, **poked.record())
        return findings

    def _on_qmp(self, vm: Vm, event: QmpEvent) -> list[Finding]:
        if event.name == "SHUTDOWN":
            self._ending.on_shutdown(vm, str(event.data.get("reason", "")))
        from khorig.run.qmp_event import violation

        found = violation(event.name, vm.qmp, self._sequence)
        return [self._finding(*found)] if found else []

    def _on_exit(self, vm: Vm, status: int) -> int:
        status = status or self._ending.told_status
        if status in exit_status.MEANINGS:
            expected = self._spec.expected_status
            explained = expected == exit_status.PASS and self._monitor.explain(status)
            if status != expected and not explained:
                verdict = Verdict.CRASH if status == exit_status.PANIC else Verdict.FAIL
                what = f"guest exited with status {status} ({exit_status.MEANINGS[status]})"
                self._add(self._finding(rules.EXIT_STATUS, what, verdict))
            return status
        if status == 0 and (ended := self._ending.by_guest()) is not None:
            if not self._monitor.linux_dies:
                self._add(ended)
            return status
        if status == -signal.SIGBUS:
            raise InfraError(f"no space left for guest RAM in {vm.ram_file.directory}")
        raise vm.died()

    def _hangs(self, vm: Vm, watch: ProgressWatch) -> bool:
        try:
            if not watch.hangs() and not self._ending.panics(vm, watch):
                return False
        except QmpClosed:  # QEMU's exit is the next event
            return False
        found = self._ending.hang(vm, watch)
        self._add(*(() if self._monitor.linux_dies else (found,)))
        return True

    def _settle(self) -> None:
        """After the guest's end: reports what is missing, unless an earlier finding explains it."""
        self._ending.on_panic(self._sequence.generation, self._monitor.panic_lines)
        self._add(*self._monitor.finish(self._sequence.running, self._ending.look))
        if self._status is None and not self._findings:
            what = f"guest did not exit within {self._limits.last_words_s:g} s after its last event"
            self._add(self._finding(rules.EXIT_STATUS, what))
        missing = [*self._sequence.finish(), *self._poker.finish()]
        missing += self._judge.finish(self._status)
        self._statistics = self._judge.statistics
        if not self._findings:
            self._add(*missing)

    def _emit_images(self, records: Iterator[dict[str, Any]]) -> None:
        for record in records:
            self._emit("image", **record)

    def _finding(
        self, rule: str, what: str, verdict: Verdict = Verdict.FAIL, evidence: Sequence[str] = ()
    ) -> Finding:
        lines = (*evidence, *self._sequence.whereabouts())
        return Finding(rule, what, "", "", self._sequence.executing, "", lines, verdict)

    def _add_infra(self, what: str, evidence: tuple[str, ...] = ()) -> None:
        finding = self._finding("", what, Verdict.INFRA, evidence)
        try:
            self._add(finding)
        except OSError:
            self._findings.append(finding)

    def _add(self, *findings: Finding) -> None:
        """Adds findings. Before the first finding that does not come from memory, memory is
        compared: a change there is the cause, the guest's report its effect."""
        if findings and not self._findings and not findings[0].stop and self._ram is not None:
            if findings[0].verdict is not Verdict.INFRA:
                machine = self._machine.facts(self._spec.memory)
                findings = (*self._judge.on_trouble(self._ram, machine), *findings)
        for finding in findings[: max(0, _MAX_FINDINGS - len(self._findings))]:
            self._findings.append(finding)
            self._emit("finding", **finding.json())

    def _emit(self, kind: str, **fields: Any) -> None:
        seconds = round(time.monotonic() - self._started_s, 6)
        self._journal.write({"s": seconds, "ev": kind, **fields})

    def _emit_verdict(self) -> None:
        verdict = self._findings[0].verdict if self._findings else Verdict.PASS
        wall_s = self._wall_s if self._wall_s is not None else time.monotonic() - self._started_s
        self._emit(
            "verdict",
            verdict=verdict.value,
            generations=self._sequence.generation,
            statistics=dataclasses.asdict(self._statistics),
            wall_s=round(wall_s, 4),
            qemu=self._version,
            exit_status=self._status,
            console_tail=[line for line in self._tail if not line.startswith("@")],
        )
