# SPDX-License-Identifier: BSD-3-Clause
"""A device that works across the jump is decoded with its page, and whatever is in memory."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from view.handover_image import PAGE, RAM, HandoverImage, typical_image
from view.live_device_image import (
    FUNCTION,
    OFFSET,
    REGISTERS,
    SIZE,
    add_live_device,
    description,
    live_page,
    record,
)

from khorig.kho.clients.khorig import Clients, decode_clients
from khorig.kho.clients.live_device import decode_live_device, read_live_count
from khorig.kho.handover import decode_handover
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.owners import Owners
from khorig.kho.ownership import find_owners
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysRange


def read(image: HandoverImage) -> tuple[Clients, Owners]:
    handover = decode_handover(image.memory, image.finish(), GEOMETRY_4K)
    clients = decode_clients(image.memory, handover)
    return clients, find_owners(handover, clients)


def test_it_is_decoded_with_its_page() -> None:
    image = typical_image()
    page = live_page(image, count=7)
    blob = add_live_device(image, description(page, count=7))
    clients, owners = read(image)
    live = clients.live
    assert live is not None and clients.problems == ()
    assert (live.kind, live.function, live.place) == ("edu", FUNCTION, "01:03.0")
    assert (live.registers, live.bus_address, live.count) == (REGISTERS, page, 7)
    assert live.page == PhysRange(page, PAGE)
    assert live.written == PhysRange(page + OFFSET, SIZE)
    assert read_live_count(image.memory, live) == 7
    assert owners.name(page // PAGE) == "live device edu"
    assert owners.name(blob // PAGE) == "khorig/live-device"
    content = image.ram.read(page, PAGE)
    masked = live.without_written(content)
    assert masked[OFFSET : OFFSET + SIZE] == bytes(SIZE)
    assert masked[:OFFSET] + masked[OFFSET + SIZE :] == content[:OFFSET] + content[OFFSET + SIZE :]


def test_its_page_must_be_preserved() -> None:
    image = typical_image()
    page = image.allocate()
    add_live_device(image, description(page))
    _, owners = read(image)
    assert [(s.frame, s.owner) for s in owners.strays] == [(page // PAGE, "live device edu")]


def test_none_is_no_problem() -> None:
    clients, _ = read(typical_image())
    assert clients.live is None and clients.problems == ()


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"kind": b""}, "kind"),
        ({"kind": b"e\nu"}, "kind"),
        ({"function": 1 << 16}, "PCI function 0x10000"),
        ({"page": RAM.begin + 8}, "is not aligned"),
        ({"bytes": SIZE + 1}, "17 bytes from 0x400 on"),
        ({"offset": PAGE - SIZE + 1}, "16 bytes from 0xff1 on"),
        ({"offset": 1 << 63}, "16 bytes from 0x8000000000000000 on"),
    ],
)
def test_what_cannot_be_is_a_problem(changes: dict[str, int | bytes], text: str) -> None:
    image = typical_image()
    page = live_page(image)
    add_live_device(image, description(**({"page": page} | changes)))  # type: ignore[arg-type]
    clients, _ = read(image)
    assert clients.live is None
    (problem,) = clients.problems
    assert (problem.id, problem.subject) == ("live-device", "live device")
    assert text in problem.text


def test_the_size_is_exact() -> None:
    image = typical_image()
    add_live_device(image, description(live_page(image)) + b"\0")
    (problem,) = read(image)[0].problems
    assert problem.text == "57 bytes, expected 56"


def test_a_record_that_no_transfer_writes_is_an_error() -> None:
    image = typical_image()
    page = live_page(image)
    add_live_device(image, description(page))
    live = read(image)[0].live
    assert live is not None
    image.ram.write(page + OFFSET, record(5)[:8] + record(4)[8:])
    with pytest.raises(
        DecodeError, match="live-record .*: count 0x5 with check 0x.*fffb, expected"
    ):
        read_live_count(image.memory, live)


@given(st.binary(min_size=56, max_size=56), st.integers(0, (1 << 64) - 1))
def test_any_bytes_are_an_error_or_a_device(blob: bytes, page: int) -> None:
    image = HandoverImage()
    at = image.preserved_page(blob)
    for content in (blob, description(page), description(page & ~0xFFF)):
        image.ram.write(at, content)
        with contextlib.suppress(DecodeError):
            live = decode_live_device(image.memory, PhysRange(at, 56), GEOMETRY_4K)
            read_live_count(image.memory, live)
