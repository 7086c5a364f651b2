# SPDX-License-Identifier: BSD-3-Clause
"""kvm_vm_luo_v1 and guest_memfd_luo_v1: a virtual machine and its memory."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Callable

import pytest
from formats.luo_image import LuoImage, violated
from hypothesis import given, settings
from hypothesis import strategies as st

from khorig.out.inspect.client_lines import client_lines

VM = 0x10
MEMORY = 0x11
PAGES = 8


@dataclass
class Guest:
    """What is written; change it, then `finish`."""

    image: LuoImage = field(default_factory=LuoImage)
    attributes: list[tuple[int, int]] = field(default_factory=lambda: [(4, 8), (5, 8)])
    count: int | None = None
    size: int = PAGES << 12
    flags: int = 3
    vm_token: int = VM
    kind: str = "kvm_vm_luo_v1"
    vm: bytes | None = None

    def __post_init__(self) -> None:
        self.folios = [(self.image.blob(b"", 2), 0), (self.image.blob(b""), 7)]

    def finish(self) -> LuoImage:
        image = self.image
        listed = b"".join(struct.pack("<QQ", *pair) for pair in self.attributes)
        array = image.image.vmalloc([image.blob(listed)])
        vm = struct.pack("<QQ", 1, len(self.attributes)) + array
        image.file(self.kind, image.blob(self.vm or vm), VM)
        entries = b"".join(struct.pack("<QQ", at >> 12 | 1 << 52, n) for at, n in self.folios)
        count = len(self.folios) if self.count is None else self.count
        head = struct.pack("<QQQQ", self.size, self.flags, count, self.vm_token)
        memory = head + image.image.vmalloc([image.blob(entries)])
        image.file("guest_memfd_luo_v1", image.blob(memory), MEMORY)
        return image.finish()


def test_a_guest() -> None:
    guest = Guest()
    image = guest.finish()
    assert violated(image) == {}
    snapshot = image.snapshot()
    lines = client_lines(snapshot)
    assert "LUO:   token 0x10: kvm_vm_luo_v1, VM of type 0x1, 2 memory attributes" in lines
    text = "guest memory, 0x8000 bytes in 2 folios, flags 0x3, of VM 0x10"
    assert f"LUO:   token 0x11: guest_memfd_luo_v1, {text}" in lines
    assert (
        snapshot.describe((guest.folios[0][0] >> 12) + 3) == "LUO/vm/0x11 folio 0 (order 2) page 3"
    )
    assert not len(snapshot.owners.unowned[0])
    parts = ("", " chunk", " attributes")
    assert {f"LUO/vm/0x10{part}" for part in parts} <= set(snapshot.owners.names)


def _lose_folio(guest: Guest) -> None:
    guest.image.image.blocks.remove((guest.folios[1][0], 0))


def _move_folio(guest: Guest) -> None:
    guest.folios[0] = (guest.folios[0][0] + 4096, 0)


def _repeat_page(guest: Guest) -> None:
    guest.folios[1] = (guest.folios[1][0], 0)


@pytest.mark.parametrize(
    "change, text",
    [
        (_lose_folio, "LUO/vm/0x11: folio 1 of 2 is not preserved"),
        (_move_folio, "LUO/vm/0x11: folio 0 of 2 is not preserved"),
        (_repeat_page, "LUO/vm/0x11: two folios for one page"),
        (
            lambda g: setattr(g, "size", 7 << 12),
            "LUO/vm/0x11: a folio for page 7 of a file of 7 pages",
        ),
        (lambda g: setattr(g, "flags", 4), "flags 0x4, expected at most 3"),
        (
            lambda g: setattr(g, "vm_token", 9),
            "VM 0x9 is no file of the session, expected kvm_vm_luo_v1",
        ),
        (
            lambda g: setattr(g, "kind", "other"),
            "VM 0x10 is a 'other' of the session, expected kvm_vm_luo_v1",
        ),
    ],
)
def test_memory_that_is_wrong(change: Callable[[Guest], None], text: str) -> None:
    guest = Guest()
    change(guest)
    assert violated(guest.finish())["KHR-I205"] == [text]


def test_more_folios_than_there_are_blocks() -> None:
    (text,) = violated(Guest(count=1 << 40).finish())["KHR-I205"]
    assert text.startswith(f"LUO/vm/0x11: {1 << 40} folios, but only ")


def test_attributes_that_are_wrong() -> None:
    found = violated(Guest(attributes=[(4, 8), (4, 0)]).finish())
    assert found == {"KHR-I206": ["guest frame 0x4 has attributes twice"]}


@pytest.mark.parametrize("rest", [b"", struct.pack("<Q", 0x4000_5000), struct.pack("<QQ", 0, 5)])
def test_a_virtual_machine_of_another_layout(rest: bytes) -> None:
    image = Guest(vm=struct.pack("<Q", 2) + rest).finish()
    assert violated(image).keys() == {"KHR-I070"}
    known = "another layout behind it" if rest else "0 memory attributes"
    assert str(image.decoded("kvm_vm_luo_v1").state) == f"VM of type 0x2, {known}"


@settings(deadline=None)
@given(st.binary(max_size=48), st.binary(max_size=32), st.binary(max_size=64))
def test_any_bytes(memory: bytes, vm: bytes, array: bytes) -> None:
    ram = _ANY.image.ram
    ram.write(_PLACES[0], memory.ljust(48, b"\0"))
    ram.write(_PLACES[1], vm.ljust(32, b"\0"))
    violated(_ANY)
    ram.write(_PLACES[0], struct.pack("<QQQQ", 1 << 30, 3, len(array) // 16, VM) + _LIST)
    ram.write(_PLACES[1], struct.pack("<QQ", 0, len(array) // 16) + _LIST)
    ram.write(_PLACES[2], array)
    violated(_ANY)
    client_lines(_ANY.snapshot())


_ANY = LuoImage()
_PLACES = [_ANY.blob(b"") for _ in range(3)]
_LIST = _ANY.image.vmalloc([_PLACES[2]])
_ANY.file("guest_memfd_luo_v1", _PLACES[0], MEMORY)
_ANY.file("kvm_vm_luo_v1", _PLACES[1], VM)
_ANY.finish()
