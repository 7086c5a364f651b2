# SPDX-License-Identifier: BSD-3-Clause
"""A failed run says who changed a page, and never guesses."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from typing import Any


from khorig.api.rig import Rig
from khorig.guest.event import GuestEvent
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.poke import Poke
from khorig.kho.handover import decode_handover
from khorig.kho.layout import GEOMETRY_4K
from khorig.mem.memory import RamMemory
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol import definitions as protocol
from khorig.rules.temporal import definitions as temporal
from khorig.run.judge import RunJudge
from khorig.run.judging import StopContext
from khorig.run.who import Who

OPTIONS = ("megabytes=16",)


def who_of(rig: Rig, machine: str, rule: str, **options: Any) -> Who:
    """Of a run that breaks `rule`."""
    options.setdefault("extra_options", OPTIONS)
    result = rig.run(machine, record=True, **options)
    assert result.verdict is Verdict.FAIL, result.findings
    assert result.findings[0].rule == rule, result.findings
    assert result.recorded.startswith("reproduced"), result.recorded
    who = result.who
    assert who is not None
    finding = next(finding for finding in result.findings if finding.changed)
    assert finding.where in who.pages, (finding, who)
    return who


@each_arch
def test_a_stray_store_has_a_line_of_code(rig: Rig, machine: str) -> None:
    who = who_of(rig, machine, temporal.PAGES_ACROSS_JUMP, fault="write-after-seal")
    assert (who.count, who.rig, who.nobody, who.note) == (1, (), (), ""), who
    (store,) = who.stores
    assert (store.cpu, store.generation, store.size) == (0, 1, 1)
    assert store.address == who.pages[0] and store.before != store.after
    assert re.search(r"WriteBlock.* \(kernel/defects/load\.cc:\d+\)$", store.symbol), store
    assert 0 < store.instructions < 10_000_000


@each_arch
def test_a_store_of_another_cpu_is_of_that_cpu(rig: Rig, machine: str) -> None:
    """State that is serialized after the seal."""
    who = who_of(rig, machine, temporal.TRACKER_ACROSS_JUMP, fault="ap-preserves-late", smp=2)
    assert who.count and not who.rig and not who.nobody, who
    assert {store.cpu for store in who.stores} == {1}, who
    assert "khocore/tracker" in who.stores[0].symbol, who.stores[0]


@each_arch
def test_late_serialization_is_a_store_into_the_tracker(rig: Rig, machine: str) -> None:
    who = who_of(rig, machine, temporal.TRACKER_ACROSS_JUMP, fault="late-preserve")
    assert who.count and not who.rig and not who.nobody, who
    assert "khocore/tracker" in who.stores[0].symbol, who.stores[0]


@each_arch
def test_a_store_of_the_next_kernel_is_of_its_generation(rig: Rig, machine: str) -> None:
    who = who_of(rig, machine, temporal.PAGES_UNTIL_RESTORED, fault="zeroed-when-restored")
    assert who.count and not who.nobody, who
    assert {store.generation for store in who.stores} == {2}, who


@each_arch
def test_a_cpu_that_was_left_behind_is_of_the_last_generation(rig: Rig, machine: str) -> None:
    fault = "ap-writes-from-old-text"
    result = rig.run(machine, record=True, fault=fault, smp=2, generations=2, extra_options=OPTIONS)
    who = result.who
    assert who is not None and result.findings[0].rule == protocol.CPUS_PARKED, result.findings
    assert who.count > 1 and not who.nobody and not who.rig, who
    assert {(store.cpu, store.generation) for store in who.stores} == {(1, 1)}, who
    assert "kernel/defects/quiesce.cc" in who.stores[0].symbol, who.stores[0]


@each_arch
def test_a_segment_over_a_page_is_seen_before_anybody_writes(rig: Rig, machine: str) -> None:
    result = rig.run(machine, record=True, fault="segment-outside-scratch", extra_options=OPTIONS)
    (finding,) = [f for f in result.findings if f.rule == protocol.SEGMENTS]
    segment = next(reason for reason in finding.why if reason.kind == "segment")
    assert re.fullmatch(
        r"segment 1 \(parameters\) \[0x\w+, 0x\w+\) of the next kernel, generation 2, lies over "
        r"block \d+ \(order \d+\) page 0",
        segment.what,
    ), segment
    assert segment.begin <= int(finding.where, 16) < segment.end
    assert result.who is None


@each_arch
def test_a_changed_tracker_node_is_named_as_such(rig: Rig, machine: str) -> None:
    result = rig.run(machine, fault="late-preserve", extra_options=OPTIONS)
    why = [reason.what for reason in result.findings[0].why]
    assert "tracker node of generation 1, which nothing preserves" in why, why


@each_arch
def test_a_poke_is_the_rigs_own(rig: Rig, machine: str) -> None:
    poke = Poke(1, "sealed", "block 0 (order 10)", 0x10)
    who = who_of(rig, machine, temporal.PAGES_ACROSS_JUMP, pokes=(poke,))
    assert (who.count, who.nobody, who.note) == (0, (), ""), who
    assert who.lines == (f"the rig's own {who.rig[0]}",)
    assert who.rig[0].startswith("poke at sealed in generation 1: 0x")


class DeviceJudge(RunJudge):
    """Writes to a preserved page once the guest has left its last stop, as DMA does."""

    def __init__(self, spec: KhorigRun) -> None:
        super().__init__(spec)
        self._ram: Any = None
        self._page = 0

    def on_stop(self, context: StopContext) -> list[Finding]:
        """See khorig.run.judging.Judge."""
        if (context.at, context.generation) == ("sealed", 1):
            root = context.event.address("root")
            blocks = decode_handover(RamMemory(context.ram), root, GEOMETRY_4K).blocks
            self._page = int(blocks.frames[blocks.orders.argmax()]) << 12
            self._ram = context.ram
        return super().on_stop(context)

    def on_event(self, event: GuestEvent) -> list[Finding]:
        """See khorig.run.judging.Judge."""
        if event.kind == "jump" and event.generation == 1:
            self._ram.write(self._page + 2048, b"DMA!")
        return super().on_event(event)


class Edu:
    """QEMU's device `edu`, driven from outside of the guest by QEMU's test protocol: a driver that
    started DMA and never stopped it."""

    BUFFER, TO_RAM = 0x40000, 3
    DELAY_S = 0.1  # of its DMA

    def __init__(self, socket_path: Path, machine: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(socket_path))
        self._answers = self._socket.makefile("r")
        self._ecam = {"q35": 0xB0000000, "virt": 0x4010000000}[machine]
        self._bar = {"q35": 0xFEA00000, "virt": 0x10000000}[machine]

    def _ask(self, command: str) -> None:
        self._socket.sendall(f"{command}\n".encode())
        answer = self._answers.readline()
        assert answer.startswith("OK"), (command, answer)

    def start(self, target: int) -> None:
        """Starts a transfer of 8 bytes of its buffer."""
        function = self._ecam + (0x1E << 15)
        self._ask(f"writel {function + 0x10:#x} {self._bar:#x}")
        self._ask(f"writew {function + 4:#x} 0x6")  # memory, bus mastering
        for register, value in (
            (0x80, self.BUFFER),
            (0x88, target),
            (0x90, 8),
            (0x98, self.TO_RAM),
        ):
            self._ask(f"writeq {self._bar + register:#x} {value:#x}")


class EduJudge(RunJudge):
    """Starts the device once all is sealed; the next kernel waits at `entry` until it is done."""

    def __init__(self, spec: KhorigRun, socket_path: Path) -> None:
        super().__init__(spec)
        self._path = socket_path

    def on_stop(self, context: StopContext) -> list[Finding]:
        """See khorig.run.judging.Judge."""
        if (context.at, context.generation) == ("entry", 2):
            time.sleep(2 * Edu.DELAY_S)
        findings = super().on_stop(context)
        if (context.at, context.generation) == ("sealed", 1):
            root = context.event.address("root")
            blocks = decode_handover(RamMemory(context.ram), root, GEOMETRY_4K).blocks
            Edu(self._path, self._spec.machine).start(
                int(blocks.frames[blocks.orders.argmax()]) << 12
            )
        return findings


@each_arch
def test_dma_of_a_device_that_was_left_on_is_of_no_cpu(
    rig: Rig, machine: str, tmp_path: Path
) -> None:
    path = tmp_path / "qtest"
    qtest = ("-qtest", f"unix:{path},server=on,wait=off", "-qtest-log", "none")
    result = rig.run(
        machine,
        record=True,
        fault="bus-master-left-on",
        counted=False,  # the device waits for time, not for instructions
        extra_options=OPTIONS,
        extra_qemu=("-device", "edu,addr=1e.0,dma_mask=0xffffffffffffffff", *qtest),
        judge=lambda spec: EduJudge(spec, path),
    )
    rules = [finding.rule for finding in result.findings]
    assert rules[0] == protocol.DEVICES_OFF and temporal.PAGES_ACROSS_JUMP in rules, rules
    assert "DMA by PCI function 00:1e.0" in " ".join(r.what for f in result.findings for r in f.why)
    who = result.who
    assert who is not None and (who.count, who.rig, who.note) == (0, (), ""), who
    assert who.nobody[0].startswith(f"8 bytes at {who.pages[0]}: "), who
    assert who.lines[0].startswith("no CPU stored there since sealed in generation 1: device")


@each_arch
def test_what_no_cpu_stored_is_of_a_device_or_the_host(rig: Rig, machine: str) -> None:
    who = who_of(rig, machine, temporal.PAGES_ACROSS_JUMP, judge=DeviceJudge)
    assert (who.count, who.rig, who.note) == (0, (), ""), who
    (line,) = who.nobody
    place = f"{int(who.pages[0], 16) + 2048:#018x}"
    assert line.startswith(f"4 bytes at {place}: ") and line.endswith("44 4d 41 21"), line
    assert who.lines[0].startswith("no CPU stored there since sealed in generation 1: device")
    unseen = "`dc zva`" if machine == "virt" else "exception frames pushed by a CPU"
    assert unseen in who.lines[1]
