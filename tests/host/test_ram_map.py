# SPDX-License-Identifier: BSD-3-Clause
"""Where RAM is, out of QEMU's words. Real QEMUs are asked in test_real_machines.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khorig.guest.khorig_run import KhorigRun
from khorig.guest.numa import why_no_numa
from khorig.mem.guest_ram import RamRegion
from khorig.mem.memory import PhysRange
from khorig.rules.protocol.nodes import nodes_in
from khorig.vm.command import Wiring, qemu_argv
from khorig.vm.build_outputs import Images
from khorig.vm.errors import InfraError
from khorig.vm.machines import machine_named
from khorig.vm.ram_map import ram_map
from khorig.vm.ram_file import RamFile, RamSpec, ram_spec
from pathlib import Path

_ODD = 103428 << 10
_MIB, _GIB = 1 << 20, 1 << 30

# QEMU 7.2: q35 with 5000M, 100M of it in the first node; cut to what matters.
_PC = """FlatView #0
 AS "cpu-smm-0", root: memory
 Root memory region: memory
  0000000000000000-00000000ffffffff (prio 0, ram): ram0
FlatView #1
 AS "memory", root: system
 Root memory region: system
  0000000000000000-00000000000bffff (prio 0, ram): ram0
  00000000000c0000-00000000000dffff (prio 1, rom): pc.rom
  0000000000100000-00000000063fffff (prio 0, ram): ram0 @0000000000100000
  0000000006400000-000000007fffffff (prio 0, ram): ram2
  00000000fec00000-00000000fec00fff (prio 0, i/o): ioapic
  0000000100000000-00000001b87fffff (prio 0, ram): ram2 @0000000079c00000
"""
_PC_BLOCKS = """              Block Name    PSize              Offset               Used
                    ram2    4 KiB  0x0000000006400000 0x0000000132400000
                    ram0    4 KiB  0x0000000000000000 0x0000000006400000
"""
_PC_RAM = RamSpec(5000 * _MIB, (100 * _MIB, 0, 4900 * _MIB), is_plain=False)

_VIRT = """FlatView #0
 AS "memory", root: system
 Root memory region: system
  0000000008000000-0000000008000fff (prio 0, i/o): gic_dist
  0000000040000000-0000000046500fff (prio 0, ram): ram0
  0000000046501000-000000004fffffff (prio 0, ram): ram1
"""
_VIRT_BLOCKS = """              Block Name    PSize              Offset               Used
                    ram1    4 KiB  0x0000000006540000 0x0000000009aff000
                    ram0    4 KiB  0x0000000000000000 0x0000000006501000
"""
_VIRT_RAM = RamSpec(256 * _MIB, (_ODD, 256 * _MIB - _ODD), is_plain=False)


def test_a_pc_with_nodes_is_one_row_of_bytes_in_two_places() -> None:
    found = ram_map(_PC, _PC_BLOCKS.replace("\n", "\r\n"), _PC_RAM.backends)
    low, high = RamRegion(0, 2 * _GIB, 0), RamRegion(4 * _GIB, 2952 * _MIB, 2 * _GIB)
    assert found.regions == (low, high)  # ROM below 1 MiB is RAM behind it
    assert [region.gpa for region, _ in found.pieces] == [0, 100 * _MIB, 4 * _GIB]
    # A block's place and that of its region in the one with all nodes: each 100 MiB here.
    assert [reported for _, reported in found.pieces] == [0, 200 * _MIB, 2 * _GIB + 100 * _MIB]


def test_blocks_of_ram_are_further_apart_than_nodes() -> None:
    found = ram_map(_VIRT, _VIRT_BLOCKS, _VIRT_RAM.backends)
    assert found.regions == (RamRegion(_GIB, 256 * _MIB, 0),)
    assert found.pieces == (
        (RamRegion(_GIB, _ODD, 0), 0),
        (RamRegion(_GIB + _ODD, 256 * _MIB - _ODD, _ODD), 0x6540000 + _ODD),
    )


@pytest.mark.parametrize(
    ("flat", "blocks", "why"),
    [
        ("", _VIRT_BLOCKS, "lists no address space 'memory'"),
        (_VIRT + _VIRT, _VIRT_BLOCKS, "lists no address space 'memory'"),
        (_VIRT.replace("ram1", "mine"), _VIRT_BLOCKS, "QEMU maps: 0x40000000"),
        (_VIRT.replace("ram", "mem"), _VIRT_BLOCKS, "QEMU maps: none"),
        (_VIRT.replace("4fffffff", "5fffffff"), _VIRT_BLOCKS, "bytes of ram1 at"),
        (_VIRT.replace("46500fff", "00000000"), _VIRT_BLOCKS, "bytes of ram0 at"),
        (_VIRT.replace("46501000", "46500000"), _VIRT_BLOCKS, "bytes of ram1 at"),
        (_VIRT, "", "does not list 'ram"),
    ],
)
def test_words_that_make_no_map_are_named(flat: str, blocks: str, why: str) -> None:
    with pytest.raises(InfraError, match=why):
        ram_map(flat, blocks, _VIRT_RAM.backends)


@given(st.text(), st.text())
def test_any_words_are_a_map_or_an_error(flat: str, blocks: str) -> None:
    with pytest.raises(InfraError):
        ram_map(flat, blocks, _VIRT_RAM.backends)


def test_files_of_nodes_are_one_row_of_bytes() -> None:
    nodes = (3 << 12, 5 << 12, 1 << 12)
    with RamFile(sum(nodes), nodes=nodes) as file:
        ram = file.guest_ram([RamRegion(_GIB, sum(nodes), 0)])
        ram.write(_GIB + nodes[0] - 2, b"abcd")
        assert file.pread(6, nodes[0] - 3) == b"\0abcd\0"
        assert file.extents() == [(2 << 12, 1 << 12), (3 << 12, 1 << 12)]
        assert ram.extents() == [(_GIB + (2 << 12), 1 << 12), (_GIB + (3 << 12), 1 << 12)]
        assert ram.written(_GIB + (4 << 12), 4 << 12) is False
        assert file.pread(100, sum(nodes) - 50) == bytes(50)


def test_each_node_with_memory_is_a_backend() -> None:
    spec = KhorigRun("arm64", "virt", numa=(_ODD, 0, 256 * _MIB - _ODD))
    wiring = Wiring((7, 8), 4, 5)
    words = qemu_argv(machine_named("virt"), spec, Images(Path("k"), Path("a")), wiring)
    backends = [word for word in words if word.startswith("memory-backend")]
    name = "memory-backend-file,id=ram{},size={},share=on,mem-path=/proc/self/fd/{}"
    assert backends == [name.format(0, _ODD, 7), name.format(2, 256 * _MIB - _ODD, 8)]
    numa = [word for before, word in zip(words, words[1:]) if before == "-numa"]
    assert numa == ["node,nodeid=0,memdev=ram0", "node,nodeid=1", "node,nodeid=2,memdev=ram2"]
    assert not any("memory-backend=" in word for word in words)


@pytest.mark.parametrize("changes", [{"extra_qemu": ("-d", "int")}, {"machine_options": ("a=b",)}])
def test_a_machine_of_ones_own_is_asked(changes: dict[str, tuple[str, ...]]) -> None:
    assert ram_spec(KhorigRun("x86_64", "q35")).is_plain
    assert not ram_spec(KhorigRun("x86_64", "q35", **changes)).is_plain  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("machine", "nodes", "why"),
    [
        ("q35", (), None),
        ("virt", (_ODD, 0, 256 * _MIB - _ODD), None),
        ("microvm", (256 * _MIB,), "microvm has no NUMA"),
        ("q35", (256 * _MIB, 1 << 12), "the nodes have 262148K together, --mem is 262144K"),
        ("q35", (1 << 10, (256 << 20) - 1024), "multiples of 4K"),
        ("q35", (-4096, (256 << 20) + 4096), "multiples of 4K"),
        ("q35", (2 << 20,) * 129, "129 nodes, QEMU has at most 128"),
    ],
)
def test_nodes_that_cannot_be(machine: str, nodes: tuple[int, ...], why: str | None) -> None:
    said = why_no_numa(KhorigRun("x86_64", machine, numa=nodes))
    assert said == why or (why is not None and said is not None and why in said)


def test_nodes_lie_where_qemu_fills_them() -> None:
    ram = [PhysRange(0, 2 * _GIB), PhysRange(4 * _GIB, _GIB)]
    assert nodes_in(ram, (_ODD, 0, 3 * _GIB - _ODD), 4096) == [
        (0, (PhysRange(0, _ODD),)),
        (2, (PhysRange(_ODD, 2 * _GIB - _ODD), PhysRange(4 * _GIB, _GIB))),
    ]
    # A page of 64 KiB with the boundary in it is the lower node's.
    [(_, lower), (_, upper)] = nodes_in(
        [PhysRange(_GIB, 256 * _MIB)], (_ODD, 256 * _MIB - _ODD), 1 << 16
    )
    assert lower == (PhysRange(_GIB, 0x6510000),) and upper[0].begin == _GIB + 0x6510000
