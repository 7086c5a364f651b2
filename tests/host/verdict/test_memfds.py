# SPDX-License-Identifier: BSD-3-Clause
"""A Linux that describes a memfd of its user space wrongly is found where it jumps."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from dumps.sample import Sample
from verdict.fake_chain import LINUX, FakeChain
from view.handover_image import PAGE

from khorig.guest.event import EventFieldError, GuestEvent
from khorig.rules.protocol.definitions import MEMFDS

_SAID = {
    **{"session": "vm", "token": "0x21", "name": "odd", "size": 5 * PAGE, "seals": "0x0"},
    **{"position": 7, "received": False, "ok": True},
}


def causes(sample: Sample, pc: bool = True, **said: Any) -> list[str]:
    """What is wrong with the memfd of the sample where a Linux jumps."""
    chain = FakeChain(LINUX, LINUX, sample=sample)
    chain.boots(1)
    assert chain.restores(1) == set()
    chain.says("memfd", 1, **{**_SAID, **said})
    chain.stops("sealed", 1, True, **({"pc": "0x1000"} if pc else {}))
    found = [finding for finding in chain.findings if finding.rule == MEMFDS]
    assert all((f.generation, f.stop) == (1, "sealed") for f in found)
    return [finding.what.removeprefix("memfd 'odd': ") for finding in found]


def test_a_memfd_that_is_what_user_space_says_is_right() -> None:
    assert causes(Sample()) == []


@pytest.mark.parametrize(
    "at, word, what",
    [
        (0, struct.pack("<Q", 8), "position 0x8 is handed over, expected 0x7"),
        (8, struct.pack("<Q", 5 * PAGE - 9), "size 0x4ff7 is handed over, expected 0x5000"),
        (16, struct.pack("<I", 8), "seals 0x8 is handed over, expected 0x0"),
    ],
)
def test_each_field_is_compared(at: int, word: bytes, what: str) -> None:
    sample = Sample()
    sample.image.ram.write(sample.memfd + at, word)
    assert causes(sample) == [what]
    assert causes(sample, pc=False) == [], "a Linux serializes until it jumps"


def test_a_clean_folio_is_found() -> None:
    """It is dropped when memory is short."""
    sample = Sample()
    at, _ = sample.folios[1]
    sample.image.ram.write(sample.memfd_array + 16, struct.pack("<Q", at >> 12 | 2 << 52))
    [what] = causes(sample)
    assert what == (
        "1 of 2 folios are not dirty and up to date: the folio of page 4 has flags 0x2, "
        "expected 0x3"
    )


def test_every_page_has_a_folio() -> None:
    sample = Sample()
    sample.image.ram.write(sample.memfd + 24, struct.pack("<Q", 1))
    assert causes(sample) == ["1 of 5 pages have no folio"]
    assert causes(Sample(), size=4 * PAGE + 1) == [
        f"size {5 * PAGE:#x} is handed over, expected {4 * PAGE + 1:#x}"
    ]


@pytest.mark.parametrize("other", [{"token": "0x22"}, {"session": "v"}])
def test_a_memfd_that_is_not_there_is_named(other: dict[str, Any]) -> None:
    assert causes(Sample(), **other) == ["is not among the files that are handed over"]


def test_one_that_was_received_is_not_handed_over() -> None:
    assert causes(Sample(), received=True, size=1) == []


@pytest.mark.parametrize("wrong", [{"seals": 1}, {"size": -1}, {"token": "0x"}, {"name": None}])
def test_words_of_the_guest_are_checked(wrong: dict[str, Any]) -> None:
    chain = FakeChain(LINUX, LINUX)
    event = GuestEvent("memfd", 1, 0, 0.0, {"ev": "memfd", **_SAID, **wrong})
    with pytest.raises(EventFieldError):
        chain.judge.on_event(event)
