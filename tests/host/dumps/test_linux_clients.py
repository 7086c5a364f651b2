# SPDX-License-Identifier: BSD-3-Clause
"""What Linux's clients leave: each field that is wrong has its problem, each page its owner."""

from __future__ import annotations

import struct
from typing import Callable

import pytest
from dumps.sample import Sample
from view.handover_image import PAGE

Breaker = Callable[[Sample], object]


def word(at: Callable[[Sample], int], value: Callable[[Sample], int] | int) -> Breaker:
    """Overwrites a word of a client."""
    return lambda s: s.image.write_u64(at(s), value if isinstance(value, int) else value(s))


def two_pages_for_two_folios(s: Sample) -> None:
    pages = [s.memfd_array, s.image.preserved_page()]
    s.image.ram.write(s.memfd + 32, s.image.vmalloc(pages))


# A session's entry lies behind the head of its block; the count of files is its last word.
BROKEN: dict[str, tuple[str, Breaker]] = {
    "nothing": ("", lambda s: None),
    "another version of LUO": ("luo-version", lambda s: s.image.ram.write(s.luo, b"luo-v6")),
    "more files than the session says": ("luo-files", word(lambda s: s.sessions + 88, 0)),
    "fewer files than the session says": ("luo-files", word(lambda s: s.sessions + 88, 2)),
    "a name without end": ("string", lambda s: s.image.ram.write(s.sessions + 16, b"n" * 64)),
    "a kind without end": ("string", lambda s: s.image.ram.write(s.files + 16, b"memfd-v2" * 6)),
    "another version of memfd": (
        "memfd-version",
        lambda s: s.image.ram.write(s.files + 16, b"memfd-v1"),
    ),
    "a folio that begins inside a block": (
        "memfd-folio",
        word(lambda s: s.memfd_array, lambda s: (s.folios[0][0] >> 12) + 1),
    ),
    "a folio behind the end of the file": ("memfd-index", word(lambda s: s.memfd_array + 24, 5)),
    "two folios for one page": ("memfd-index", word(lambda s: s.memfd_array + 24, 0)),
    "a larger array than the folios need": ("memfd-count", two_pages_for_two_folios),
    "more folios than blocks": ("folio-count", word(lambda s: s.memfd + 24, 1 << 39)),
    "shared states behind their pages": ("chain-count", word(lambda s: s.flb + 8, 64)),
    "shared states without pages": ("chain-count", word(lambda s: s.flb, 0)),
    "a test folio of another order": (
        "kho-test-folio",
        word(lambda s: s.test_array, lambda s: s.test_folios[0][0] | 1),
    ),
    "a test folio that is listed twice": (
        "kho-test-folio",
        word(lambda s: s.test_array + 16, lambda s: s.test_folios[0][0]),
    ),
}


@pytest.mark.parametrize("id, breaker", BROKEN.values(), ids=list(BROKEN))
def test_each_has_its_problem(id: str, breaker: Breaker) -> None:
    s = Sample()
    breaker(s)
    linux = s.finish().snapshot().linux
    assert [problem.id for problem in linux.problems] == ([id] if id else [])
    if id == "luo-version":
        assert linux.luo and not linux.luo.sessions
    if not id:
        assert linux.kho_test and linux.kho_test.adds_up
        assert linux.kho_test.checksum == linux.kho_test.found


def test_as_many_shared_states_as_there_is_room_for() -> None:
    s = Sample()
    states = b"".join(struct.pack("<48sQQ", b"shared", n, 1) for n in range(63))
    s.image.ram.write(s.flb + 8, struct.pack("<Q", 63) + states)
    linux = s.finish().snapshot().linux
    assert not linux.problems and linux.luo and len(linux.luo.flbs) == 63


@pytest.mark.parametrize("count, id", [(512, "kho-test-folio"), (513, "kho-test-count")])
def test_more_test_folios_than_the_array_holds(count: int, id: str) -> None:
    s = Sample()
    first = s.image.allocate(10)
    for page in range(first, first + 600 * PAGE, PAGE):
        s.image.preserve(page, 0)
    s.finish()
    number = struct.Struct("<I")
    array = s.image.preserved_page(struct.pack("<512Q", *[first] * 512))
    fragment = s.image.fragment(
        {
            "compatible": "kho-test-v1",
            "magic": number.pack(s.test_magic),
            "data": {
                "nr_folios": number.pack(count),
                "folios_info": s.image.vmalloc([array]),
                "csum": number.pack(0),
            },
        }
    )
    s.image.clients["kho_test"] = s.image.link(fragment)
    s.image.finish()
    assert [problem.id for problem in s.snapshot().linux.problems] == [id]


def test_every_page_has_its_owner() -> None:
    s = Sample()
    memfd_chunk = int.from_bytes(s.image.ram.read(s.memfd + 32, 8), "little")
    owners = s.finish().snapshot().owners
    expected = {
        s.luo: "LUO",
        s.sessions: "LUO sessions",
        s.flb: "LUO shared state",
        s.files: "LUO/vm files",
        s.memfd: "LUO/vm/0x21",
        memfd_chunk: "LUO/vm/0x21 chunk",
        s.memfd_array: "LUO/vm/0x21 array",
        s.folios[0][0] + 3 * PAGE: "LUO/vm/0x21 folio",
        s.folios[1][0]: "LUO/vm/0x21 folio",
        s.test_array: "kho_test array",
        s.test_folios[1][0] + 7 * PAGE: "kho_test folio",
    }
    assert {at: owners.owner(at >> 12) for at in expected} == expected
    assert "kho_test chunk" in owners.names
    assert not len(owners.unowned[0]) and not owners.strays and not owners.clashes
