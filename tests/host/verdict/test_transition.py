# SPDX-License-Identifier: BSD-3-Clause
"""The page tables that the copy of the next kernel runs on."""

from __future__ import annotations

from typing import Any

import pytest
from verdict.fake_guest import FakeGuest, first, sealed_guest
from verdict.fake_tables import BELOW, CODE, LEAF, ROOT, SOURCE, STACK
from view.handover_image import PAGE, RAM, SCRATCH

from khorig.guest.event import EventFieldError
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import TRANSITION

KERNEL = SCRATCH[0].begin
DESTINATION, SOURCE_NAME = "destination of 'kernel'", "source of 'kernel'"
P, RW, NX, OWN, BASE = 1, 2, 1 << 63, 1 << 58, RAM.begin >> 30 << 30


def sealed(guest: FakeGuest) -> list[Finding]:
    """The findings at the stop, all of the rule."""
    findings = guest.first_generation()
    assert {finding.rule for finding in findings} <= {TRANSITION}
    return findings


def with_entry(at: int, clear: int = 0, toggle: int = 0) -> list[Finding]:
    """An entry of the tables changed."""
    guest = sealed_guest()
    guest.image.write_u64(at, guest.image.ram.read_u64(at) & ~clear ^ toggle)
    return sealed(guest)


@pytest.mark.parametrize("at", (ROOT, LEAF))
def test_nothing_is_mapped(at: int) -> None:
    findings = with_entry(at, clear=P)
    assert [f.owner for f in findings] == [
        "code",
        "stack",
        SOURCE_NAME,
        DESTINATION,
        "topmost page table",
    ]
    found = first(findings, TRANSITION, CODE, "code")
    assert (
        f"not mapped from {CODE:#x} on: entry 0x" in found.what and f"at {at:#018x}" in found.what
    )


def test_a_destination_is_not_writable() -> None:
    findings = with_entry(LEAF, clear=RW)
    assert [f.owner for f in findings] == ["stack", DESTINATION]
    assert f"not writable at {KERNEL:#x}" in findings[1].what


def test_the_code_is_not_executable() -> None:
    findings = with_entry(LEAF, toggle=NX)
    assert [f.owner for f in findings] == ["code", DESTINATION], findings
    assert f"not executable at {CODE:#x}" in findings[0].what


def test_addresses_are_not_their_own() -> None:
    found = first(with_entry(LEAF, toggle=1 << 30), TRANSITION, CODE, "code")
    assert f"mapped to {CODE ^ 1 << 30:#x} at {CODE:#x}, not 1:1" in found.what


@pytest.mark.parametrize(("at", "level"), [(ROOT, 4), (LEAF, 3)])
def test_a_bit_of_the_predecessor(at: int, level: int) -> None:
    findings = with_entry(at, toggle=OWN | 1 << 9)
    found = first(findings, TRANSITION, at, f"page table of level {level}")
    assert found.what.endswith("understands: 9, 58") and len(findings) == 1


@pytest.mark.parametrize(
    ("name", "place"),
    [("code", CODE), ("stack", STACK), (SOURCE_NAME, SOURCE), ("page table of level 4", ROOT)],
)
def test_the_copy_would_overwrite_what_it_uses(name: str, place: int) -> None:
    guest = sealed_guest()
    tables = guest.stop_fields["tables"]
    for item in (*tables["pages"], *tables["sources"]):
        item[:] = [hex(KERNEL + PAGE) if word == hex(place) else word for word in item]
    if place == ROOT:
        guest.image.ram.write(KERNEL + PAGE, guest.image.ram.read(ROOT, PAGE))
        tables["root"] = hex(KERNEL + PAGE)
    found = first(sealed(guest), TRANSITION, KERNEL + PAGE, name)
    assert "lies in the destination of 'kernel'" in found.what


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("format", "arm64 EL1", "page tables of format 'arm64 EL1', 4 levels"),
        ("format", "sparc", "page tables of format 'sparc', 4 levels"),
        ("levels", 0, "page tables of format 'x86_64', 0 levels"),
        ("levels", 1 << 60, f"page tables of format 'x86_64', {1 << 60} levels"),
        ("root", hex(RAM.end), "page table: outside-ram at"),
    ],
)
def test_tables_that_cannot_be_read(field: str, value: Any, what: str) -> None:
    guest = sealed_guest()
    guest.stop_fields["tables"][field] = value
    (found,) = sealed(guest)
    assert what in found.what, found


@pytest.mark.parametrize(
    "tables",
    [
        None,
        {"format": 1},
        {"root": 4096},
        {"levels": -1},
        {"pages": {}},
        {"pages": [["code", 1, "0x0"]]},
        {"pages": [["code", "r"]]},
        {"sources": None},
        {"sources": [["kernel", "0x0"]]},
    ],
)
def test_a_malformed_field(tables: Any) -> None:
    guest = sealed_guest()
    fields = guest.stop_fields
    fields["tables"] = tables and {**fields["tables"], **tables}
    with pytest.raises(EventFieldError):
        guest.first_generation()


def test_a_table_below_is_looked_at_as_far_as_it_is_used() -> None:
    """Other gigabytes may be missing; nothing below the first is mapped here."""
    guest = sealed_guest()
    assert guest.image.ram.read_u64(BELOW) == 0
    assert sealed(guest) == []


def test_every_part_of_a_destination_is_looked_at() -> None:
    """Behind pages of 2 MiB, the second one is missing."""
    guest = sealed_guest()
    table, large, hole = ROOT + 6 * PAGE, 2 << 20, KERNEL + (2 << 20)
    guest.segments[0][2] = hex(2 * large)
    guest.image.write_u64(LEAF, table | P | RW)
    for at in range(RAM.begin, RAM.end, large):
        guest.image.write_u64(
            table + 8 * (at - BASE) // large, at | P | RW | 1 << 7 if at != hole else 0
        )
    found = first(sealed(guest), TRANSITION, hole, DESTINATION)
    assert f"not mapped from {hole:#x} on" in found.what and "level 2" in found.what
