# SPDX-License-Identifier: BSD-3-Clause
"""What a kernel was given by its boot parameters, and what the next one is."""

from __future__ import annotations

import dataclasses
import struct

import libfdt
import pytest
from verdict.fake_guest import stop_of

from khorig.guest.chain_run import ChainRun
from khorig.guest.facts import GuestFacts, Segment, Segments
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import PhysRange, RamMemory
from khorig.rules.finding import Finding
from khorig.rules.temporal.given import Given

SIZE = 1 << 20
PARAMETERS = 0x10000
NODES = 0x20000


class Chain:
    """Kernels that are given something by their boot parameters."""

    def __init__(self, arch: str, *kernels: str) -> None:
        self.bytes = bytearray(SIZE)
        self.ram = GuestRam(memoryview(self.bytes), [RamRegion(0, SIZE, 0)])
        machine = {"x86_64": "q35", "arm64": "virt"}[arch]
        self.spec = ChainRun(arch, machine, kernels=kernels)
        self.rule = Given()

    def nodes(self, *nodes: tuple[int, bytes], rsdp: int = 0, efi: bytes = bytes(32)) -> None:
        """boot_params with setup_data of these types."""
        page = bytearray(4096)
        struct.pack_into("<Q", page, 0x70, rsdp)
        page[0x1C0:0x1E0] = efi
        struct.pack_into("<Q", page, 0x250, NODES if nodes else 0)
        at = NODES
        for number, (kind, content) in enumerate(nodes):
            following = 0 if number == len(nodes) - 1 else at + 0x1000
            self.ram.write(at, struct.pack("<QII", following, kind, len(content)) + content)
            at += 0x1000
        self.ram.write(PARAMETERS, bytes(page))

    def chosen(self, **properties: bytes) -> None:
        """A device tree; an underscore stands for a comma."""
        fdt = libfdt.FdtSw()
        fdt.finish_reservemap()
        with fdt.add_node(""):
            with fdt.add_node("chosen"):
                for name, value in properties.items():
                    fdt.property(name.replace("__", "-").replace("_", ","), value)
        self.ram.write(PARAMETERS, bytes(fdt.as_fdt().as_bytearray()))

    def stop(self, generation: int, at: str, facts: GuestFacts) -> list[Finding]:
        stop = stop_of(RamMemory(self.ram), self.spec, generation, at, facts)
        machine = dataclasses.replace(stop.machine, arch=self.spec.arch)
        return self.rule.check(dataclasses.replace(stop, machine=machine))

    def entry(self, generation: int) -> list[str]:
        """What is wrong when a khorig starts."""
        found = self.stop(generation, "entry", GuestFacts(parameters=PARAMETERS))
        return [finding.what for finding in found]

    def entry_of_linux(self, generation: int) -> list[str]:
        """The same for a Linux that a khorig loads."""
        segment = Segment("parameters", PhysRange(PARAMETERS, 0x1000))
        facts = GuestFacts(segments=Segments((segment,), 0))
        assert self.stop(generation - 1, "sealed", facts) == []
        return [finding.what for finding in self.stop(generation, "entry", GuestFacts())]


TREE = (2, bytes(1229))
SEED = (9, b"s" * 32)


def efi_info(table: int, map_at: int) -> bytes:
    return struct.pack("<4s7I", b"EL64", table, 48, 1, map_at, 480, 0, 0)


@pytest.fixture
def chain() -> Chain:
    return Chain("x86_64", *("khorig",) * 3)


def test_what_goes_on_is_well(chain: Chain) -> None:
    chain.nodes(TREE, SEED, (77, b""), rsdp=0xE0000, efi=efi_info(0x1000, 0x2000))
    assert chain.entry(1) == []
    chain.nodes((77, b""), TREE, rsdp=0xE0000, efi=efi_info(0x1000, 0x3000))
    assert chain.entry(2) == []


def test_parameters_of_pvh_are_others(chain: Chain) -> None:
    chain.ram.write(PARAMETERS, b"\xff" * 4096)
    facts = GuestFacts(parameters=PARAMETERS, protocol="pvh")
    assert chain.stop(1, "entry", facts) == []
    chain.nodes()
    assert chain.entry(2) == []


def test_what_is_missing_is_named(chain: Chain) -> None:
    chain.nodes(TREE, TREE, rsdp=0xE0000, efi=efi_info(0x1000, 0x2000))
    assert chain.entry(1) == []
    chain.nodes(TREE)
    behind = "was there at entry of generation 1, is missing at entry of 2"
    assert chain.entry(2) == [
        f"efi_info (8 B) {behind}",
        f"RSDP (8 B) {behind}",
        f"setup_data type 2 (2) (1.2 KiB) {behind}",
    ]
    assert chain.entry(3) == []  # said once


def test_other_content_is_named(chain: Chain) -> None:
    chain.nodes(TREE, efi=efi_info(0x1000, 0))
    chain.entry(1)
    chain.nodes((2, b"x" * 1229), efi=efi_info(0x2000, 0))
    assert chain.entry(2) == [
        "efi_info (8 B) was there at entry of generation 1, has other content at entry of 2",
        "setup_data type 2 (1.2 KiB) was there at entry of generation 1, has other content at "
        "entry of 2",
    ]


def test_a_seed_is_for_one_kernel(chain: Chain) -> None:
    chain.nodes(SEED)
    chain.entry(1)
    assert chain.entry(2) == [
        "setup_data type 9 (32 B) was there at entry of generation 1, is given again to "
        "generation 2: a seed is for one"
    ]
    chain.nodes((9, b"t" * 32))
    assert chain.entry(3) == []


@pytest.mark.parametrize("first", ["khorig", "linux-7.3"])
def test_what_a_linux_does_not_hand_on_is_known(first: str) -> None:
    chain = Chain("x86_64", first, "khorig", "linux-7.3", "khorig")
    chain.nodes(TREE, (4, bytes(96)), (77, b"1"), rsdp=0xE0000, efi=efi_info(0x1000, 0))
    assert chain.entry(2) == []
    assert chain.entry_of_linux(3) == []
    chain.nodes(rsdp=0)
    assert chain.entry(4) == [
        "RSDP (8 B) was there at entry of generation 3, is missing at entry of 4"
    ]


def test_a_khorig_before_a_linux_hands_on() -> None:
    chain = Chain("x86_64", "linux-7.3", "khorig", "linux-7.3")
    chain.nodes(TREE)
    chain.entry(2)
    chain.nodes()
    assert chain.entry_of_linux(3) == [
        "setup_data type 2 (1.2 KiB) was there at entry of generation 2, is missing at entry of 3"
    ]


@pytest.mark.parametrize("between", ["khorig", "linux-7.3"])
def test_properties_of_chosen(between: str) -> None:
    chain = Chain("arm64", "khorig", between, "khorig")
    first = between == "khorig"
    chain.chosen(
        linux_uefi__system__table=bytes(8), bootargs=b"a\0", rng__seed=b"1234", some_thing=b"x"
    )
    chain.entry(1)
    chain.chosen(bootargs=b"b\0", rng__seed=b"1234")
    generation = 2 if first else 3
    behind = f"was there at entry of generation 1, is missing at entry of {generation}"
    assert chain.entry(generation) == [
        f"/chosen/linux,uefi-system-table (8 B) {behind}",
        "/chosen/rng-seed (4 B) was there at entry of generation 1, is given again to generation "
        f"{generation}: a seed is for one",
        f"/chosen/some,thing (1 B) {behind}",
    ]


def test_parameters_that_cannot_be_read_are_named(chain: Chain) -> None:
    chain.nodes((2, b""))
    chain.ram.write(NODES, struct.pack("<QII", NODES, 2, 0))
    assert "or a cycle" in chain.entry(1)[0]
    chain.ram.write(NODES, struct.pack("<QII", 0, 2, 0xFFFFFFFF))
    assert "node of type 2 has 4294967295 bytes" in chain.entry(1)[0]
    chain.ram.write(NODES, struct.pack("<QII", SIZE, 2, 0))
    assert chain.entry(1)[0].startswith("outside-ram")
