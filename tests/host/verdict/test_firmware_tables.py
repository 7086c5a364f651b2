# SPDX-License-Identifier: BSD-3-Clause
"""The firmware's tables and memory map along a chain of kernels."""

from __future__ import annotations

import dataclasses

import pytest
from verdict.fake_guest import stop_of
from view import firmware_image as image
from view.firmware_image import FirmwareImage

from khorig.guest.chain_run import ChainRun
from khorig.guest.facts import GuestFacts
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.spec import RunSpec
from khorig.rules.stop import Stop
from khorig.rules.temporal.definitions import (
    FIRMWARE_HEADERS,
    FIRMWARE_MAP,
    FIRMWARE_TABLES,
    RSDP_HANDED_ON,
)
from khorig.rules.temporal.firmware_tables import FirmwareTables

# RAM, ACPI's tables, NVS, a page for the other tables, RAM.
MAP = (
    (0x0, 0x20000, 1),
    (0x20000, 0x21000, 3),
    (0x21000, 0x22000, 4),
    (0x22000, 0x30000, 1),
    (0x30000, 0x33000, 2),
    (0x33000, 0x100000, 1),
)


class Machine(FirmwareImage):
    """One whose first kernel waits at its entry."""

    def __init__(self) -> None:
        super().__init__()
        self.spec: RunSpec = KhorigRun("x86_64", "q35", boot="uefi")
        self.rules = FirmwareTables()
        self.boot_params(*MAP)
        self.first = self.at(1, "entry")

    def stop(self, generation: int, at: str) -> Stop:
        facts = GuestFacts(parameters=image.PARAMETERS)
        return dataclasses.replace(stop_of(self.memory, self.spec, generation, at), facts=facts)

    def at(self, generation: int, at: str) -> dict[str, list[str]]:
        """The rules that were evaluated, and what they found."""
        found = self.rules.check(self.stop(generation, at))
        return {rule: [finding.what for finding in findings] for rule, findings in found.items()}


@pytest.fixture
def machine() -> Machine:
    machine = Machine()
    assert machine.first == {FIRMWARE_HEADERS: [], FIRMWARE_TABLES: [], FIRMWARE_MAP: []}
    return machine


def test_what_stays_is_well(machine: Machine) -> None:
    assert machine.at(1, "sealed") == {FIRMWARE_HEADERS: [], FIRMWARE_TABLES: []}
    found = machine.at(2, "entry")
    assert set(found) == {FIRMWARE_HEADERS, FIRMWARE_TABLES, FIRMWARE_MAP, RSDP_HANDED_ON}
    assert not any(found.values())


def test_a_missing_and_a_wrong_rsdp(machine: Machine) -> None:
    machine.boot_params(*MAP, rsdp=0)
    (what,) = machine.at(2, "entry")[RSDP_HANDED_ON]
    assert what == (
        "boot_params hands over no RSDP, the EFI configuration table has ACPI 2.0 at "
        f"{image.RSDP:#018x}"
    )
    machine.boot_params(*MAP, rsdp=0x1000)
    assert "the RSDP 0x0000000000001000," in machine.at(2, "entry")[RSDP_HANDED_ON][0]


def test_a_table_that_changed(machine: Machine) -> None:
    machine.bytes[image.ATTRIBUTES + 20] ^= 1
    found = machine.at(1, "sealed")
    assert found[FIRMWARE_HEADERS] == []
    assert found[FIRMWARE_TABLES][0].startswith("configuration table MEMATTR at [0x")
    assert found[FIRMWARE_TABLES][0].endswith("changed since entry of generation 1")


def test_what_may_change(machine: Machine) -> None:
    machine.put(image.SEED + 4, bytes(32))
    machine.put(image.FACS + 16, b"lock")
    machine.put(image.INITRD + 8, b"\1")
    assert machine.at(1, "sealed")[FIRMWARE_TABLES] == []
    (found,) = machine.rules.compare(machine.stop(2, "entry"), dead=True)
    assert "configuration table INITRD at" in found.what


def test_a_header_that_cannot_be(machine: Machine) -> None:
    machine.put(image.ATTRIBUTES + 4, b"\xff\xff\xff\x7f")
    assert "MEMATTR: memory-attributes:" in machine.at(1, "sealed")[FIRMWARE_HEADERS][0]


def test_a_table_in_free_memory(machine: Machine) -> None:
    machine.boot_params(*MAP[:4], (0x30000, 0x31000, 1), (0x31000, 0x33000, 2), MAP[5])
    found = machine.at(2, "entry")
    (what,) = found[FIRMWARE_TABLES]
    assert what.startswith("configuration table MEMATTR -> [0x")
    assert what.endswith("lies in memory that generation 2 is told is free")


def test_a_region_that_is_ram_now(machine: Machine) -> None:
    machine.boot_params(MAP[0], (0x20000, 0x21000, 1), *MAP[2:])
    found = machine.at(2, "entry")
    (what,) = found[FIRMWARE_MAP]
    assert what.startswith("ACPI at [0x0000000000020000,") and " is RAM in that of gen" in what
    assert found[FIRMWARE_TABLES]


def test_a_region_that_is_gone(machine: Machine) -> None:
    machine.boot_params(MAP[0], MAP[1], *MAP[3:])
    (what,) = machine.at(2, "entry")[FIRMWARE_MAP]
    assert what.startswith("NVS at ") and " is missing in that of generation 2" in what


def test_a_kernel_may_reserve_more(machine: Machine) -> None:
    machine.boot_params((0x0, 0x10000, 1), (0x10000, 0x20000, 2), *MAP[1:])
    assert machine.at(2, "entry")[FIRMWARE_MAP] == []


def test_behind_a_linux_that_firmware_started() -> None:
    """Linux keeps memory attributes for itself alone on x86_64."""
    machine = Machine()
    chain = ChainRun("x86_64", "q35", boot="uefi", kernels=("linux-7.3", "khorig", "linux-7.3"))
    machine.spec = chain
    machine.rules = FirmwareTables()
    assert not any(machine.at(1, "restored").values())
    machine.put(image.ATTRIBUTES, bytes(16))
    assert not any(machine.at(2, "entry").values())
    machine.bytes[image.DSDT + 40] ^= 1
    found = machine.at(2, "restored")
    assert found[FIRMWARE_HEADERS] and found[FIRMWARE_TABLES]


def test_memory_without_firmware() -> None:
    machine = Machine()
    machine.put(image.SYSTEM_TABLE, bytes(8))
    machine.rules = FirmwareTables()
    assert machine.at(1, "entry") == {FIRMWARE_TABLES: ["no EFI system table in memory"]}
