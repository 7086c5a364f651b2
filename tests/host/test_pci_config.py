# SPDX-License-Identifier: BSD-3-Clause
"""Configuration space of PCI functions: read from QEMU's answers, and compared between stops."""

from __future__ import annotations

from typing import Any, Mapping

import pytest
from qemu_answers import PC, VIRT, FakeQmp

from khorig.guest.chain_run import ChainRun
from khorig.guest.event import GuestEvent
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.machine import PciPlace
from khorig.guest.pci_config import PciChange, PciConfig, PciRegisters
from khorig.guest.spec import RunSpec
from khorig.out.plain import verbose_text
from khorig.run.pci_watch import PciWatch
from khorig.vm.devices.pci_config import paths_of, read_pci_config

ECAM = 0x4010000000
PORT, EDU = ECAM | 5 << 15, ECAM | 1 << 20
# Of QEMU 7.2's pcie-root-port at 00:05.0 with an edu behind it, under Linux 7.3: header and
# capabilities (0x40 SSVID, 0x48 MSI-X, 0x54 PCI Express), ACS at 0x148 behind AER.
_PORT = {
    0x00: 0x000C1B36, 0x04: 0x00100107, 0x0C: 0x00010000, 0x10: 0x40401000, 0x18: 0x00010100,
    0x1C: 0x00002020, 0x20: 0x40304020, 0x24: 0x00310021, 0x34: 0x54, 0x3C: 0x00020000,
    0x54: 0x00024810, 0x5C: 0x0000000F, 0x7C: 0x00000020, 0x48: 0x80004011, 0x40: 0x0000000D,
    0x100: 0x14820001, 0x148: 0x0001000D, 0x14C: 0x0019005F,
}  # fmt: skip
_EDU = {
    0x00: 0x11E81234, 0x04: 0x00100006, 0x10: 0x40200000, 0x34: 0x40, 0x40: 0x00800005,
    0x100: 0xFFFF000D,  # a device without PCI Express has no extended space
}  # fmt: skip


def function(slot: int, bus: int = 0, **more: Any) -> dict[str, Any]:
    ids = {"vendor": 0x1B36, "device": 8}
    return {"bus": bus, "slot": slot, "function": 0, "id": ids, **more}


def tree(secondary: int = 1) -> list[dict[str, Any]]:
    buses = {"number": 0, "secondary": secondary, "subordinate": secondary}
    behind = {"bus": buses, "devices": [function(0, secondary)]}
    return [{"bus": 0, "devices": [function(5, pci_bridge=behind)]}]


def machine(memory: str = VIRT, edu: int = EDU, secondary: int = 1) -> FakeQmp:
    words = {PORT + at: word for at, word in _PORT.items()}
    words |= {edu + at: word for at, word in _EDU.items()}
    qmp = FakeQmp(memory, words)
    qmp.answers["query-pci"] = tree(secondary)
    return qmp


def read(qmp: FakeQmp) -> PciConfig:
    return read_pci_config(qmp)  # type: ignore[arg-type]


def test_registers_of_a_bridge_and_of_what_is_behind_it() -> None:
    port, edu = read(machine()).functions
    assert (port.path, port.name, edu.path, edu.name) == (
        *("00:05.0", "00:05.0"),
        *("00:05.0/00.0", "01:00.0"),
    )
    assert port.values == {
        **{"command": 0x107, "BAR 0": 0x40401000, "BAR 1": 0, "bus numbers": 0x10100},
        **{"I/O window": 0x2020, "memory window": 0x40304020, "prefetchable window": 0x310021},
        **{"bridge control": 2, "device control": 0xF, "link control": 0, "device control 2": 0x20},
        **{"MSI-X control": 0x8000, "ACS control": 0x19},
    }
    assert edu.values["command"] == 6 and edu.values["MSI control"] == 0x80
    assert [edu.values[f"BAR {number}"] for number in range(6)] == [0x40200000, 0, 0, 0, 0, 0]
    assert "ACS control" not in edu.values


def test_by_ports_there_is_no_extended_space() -> None:
    """On pc. The selector of the address port is left as it was."""
    qmp = FakeQmp(PC.replace("pcie-mmcfg-mmio", "none"), {})
    qmp.answers["query-pci"] = [{"bus": 0, "devices": [function(3)]}]
    qmp.answers["i /w 0xcf8"] = "portl[0x0cf8] = 0x80001234"
    qmp.answers["i /w 0xcfc"] = "portl[0x0cfc] = 0x00000007"
    [found] = read(qmp).functions
    assert found.values["command"] == 7 and found.values["BAR 5"] == 7
    assert qmp.asked[-1] == "o /w 0xcf8 0x80001234"


@pytest.mark.parametrize(
    "damage",
    [
        {0x34: 0x40, 0x40: 0x4005},  # the capability leads to itself
        {0x34: 0xFC, 0xFC: 0xFC10},  # PCI Express that ends outside
        {0x100: 0x1000000D},  # an extended one that leads to itself
        {0x100: 0xFFF0000D, 0xFFC: 0xFFFFFFFF},
        {0x0C: 0x7F0000},  # of no known type
        {at: 0xFFFFFFFF for at in range(0, 0x110, 4)},
    ],
)
def test_damaged_lists_end(damage: Mapping[int, int]) -> None:
    qmp = machine()
    qmp.words |= {PORT + at: word for at, word in damage.items()}
    assert not read(qmp).unread


@pytest.mark.parametrize(
    "answer", [RuntimeError, [{"bus": 0}], [{"bus": 0, "devices": [{"bus": "x"}]}], "nothing"]
)
def test_what_cannot_be_read_is_said(answer: Any) -> None:
    qmp = machine()
    if answer is RuntimeError:
        del qmp.answers["query-pci"]
    else:
        qmp.answers["query-pci"] = answer
    config = read(qmp)
    assert config.unread and not config.functions
    assert list(config.changes(read(machine()))) == []


class _Unmapped(FakeQmp):
    """ECAM that nobody has switched on."""

    def monitor(self, command: str) -> Any:
        return "Cannot access memory" if "wx" in command else super().monitor(command)


def test_an_unexpected_answer_is_named() -> None:
    qmp = _Unmapped(VIRT, {})
    qmp.answers["query-pci"] = tree()
    assert "Cannot access memory" in read(qmp).unread


def test_paths_do_not_depend_on_numbers_of_buses() -> None:
    def paths(first: int, second: int) -> list[str]:
        bridge = PciPlace(2 << 3, (), (first, second))
        inner = PciPlace(first << 8, (), (second, second))
        return paths_of([bridge, inner, PciPlace(second << 8 | 4 << 3 | 7), PciPlace(64 << 8)])

    assert paths(1, 2) == ["00:02.0", "00:02.0/00.0", "00:02.0/00.0/04.7", "40:00.0"]
    assert paths(7, 9) == paths(1, 2)


def test_bridges_in_a_circle_have_names() -> None:
    assert len(paths_of([PciPlace(1 << 8, (), (2, 2)), PciPlace(2 << 8, (), (1, 1))])) == 2


def test_a_bus_number_that_changes_moves_what_is_behind() -> None:
    after = machine(edu=ECAM | 2 << 20, secondary=2)
    after.words[PORT + 0x18] = 0x20200
    changes = list(read(machine()).changes(read(after)))
    assert [change.text for change in changes] == [
        "00:05.0 bus numbers 0x10100 -> 0x20200",
        "02:00.0 function 01:00.0 -> 02:00.0",
    ]
    assert all(change.is_kept for change in changes)


@pytest.mark.parametrize(
    ("at", "word", "text", "is_kept"),
    [
        (0x04, 0x00100103, "command 0x107 -> 0x103 (bus mastering off)", True),
        (0x04, 0x00100105, "command 0x107 -> 0x105 (memory space off)", False),
        (0x7C, 0x00000000, "device control 2 0x20 -> 0x0 (ARI forwarding off)", True),
        (0x7C, 0x00000021, "device control 2 0x20 -> 0x21", False),
        (0x14C, 0x0000005F, "ACS control 0x19 -> 0x0", True),
        (0x10, 0x40402000, "BAR 0 0x40401000 -> 0x40402000", False),
        (0x148, 0x00010001, "ACS control 0x19 -> absent", True),
    ],
)
def test_a_register_that_changes_is_named(at: int, word: int, text: str, is_kept: bool) -> None:
    after = machine()
    after.words[PORT + at] = word
    [change] = read(machine()).changes(read(after))
    assert change.text == f"00:05.0 {text}" and change.is_kept == is_kept


def test_a_function_that_goes_is_one_change() -> None:
    with_one = PciConfig((PciRegisters("00:02.0", 0x10, {"command": 7}),))
    assert list(with_one.changes(PciConfig())) == [
        PciChange("00:02.0", "00:02.0", "function", 0x10, None)
    ]
    [came] = PciConfig().changes(with_one)
    assert came.text == "00:02.0 function absent -> 00:02.0" and came.is_kept


def _watch(spec: RunSpec) -> tuple[PciWatch, list[dict[str, Any]]]:
    records: list[dict[str, Any]] = []
    return PciWatch(spec, lambda kind, **fields: records.append({"ev": kind, **fields})), records


def test_a_chain_is_looked_at_where_its_kernels_stop() -> None:
    """Bus mastering goes between the last words of user space and the jump."""
    watch, records = _watch(ChainRun("arm64", "virt", kernels=("linux-7.3",) * 2))
    qmp: Any = machine()
    watch.look(qmp, 1, "restored", False)
    watch.on_event(GuestEvent("stop", 1, 0, 0.0, {"at": "sealed"}), qmp)
    watch.on_event(GuestEvent("jump", 1, 0, 0.0, {}), qmp)
    qmp.words[PORT + 4] = 0x00100103
    watch.look(qmp, 1, "sealed", True)
    watch.look(qmp, 2, "entry", True)
    qmp.words[EDU + 4] = 0x00100000
    looks = watch.look(qmp, 2, "restored", False)
    assert [(r["gen"], r["at"], r["since"]) for r in records] == [
        (1, "restored", ""),
        (1, "sealed", "restored in generation 1"),
        (1, "jump", "sealed in generation 1"),
        (2, "entry", "jump in generation 1"),
        (2, "restored", "entry in generation 2"),
    ]
    assert [len(r["changes"]) for r in records] == [0, 0, 1, 0, 1] and records[0]["functions"]
    line = verbose_text(records[2])
    assert line == (
        "[host] PCI at jump, since sealed in generation 1: "
        "00:05.0 command 0x107 -> 0x103 (bus mastering off)"
    )
    assert looks is not None and looks.before is not None
    assert len(list(looks.before.changes(looks.now))) == 2, "since user space of the kernel before"


def test_a_sealed_without_a_jump_is_read_once() -> None:
    watch, records = _watch(ChainRun("arm64", "virt", kernels=("linux-7.3", "khorig")))
    qmp: Any = machine()
    watch.on_event(GuestEvent("stop", 1, 0, 0.0, {"at": "sealed"}), qmp)
    watch.look(qmp, 1, "sealed", False)
    assert len(records) == 1


def test_runs_of_khorig_alone_are_not_looked_at() -> None:
    watch, records = _watch(KhorigRun("arm64", "virt"))
    qmp: Any = machine()
    assert watch.look(qmp, 1, "sealed", False) is None and not records
