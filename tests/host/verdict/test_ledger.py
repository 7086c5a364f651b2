# SPDX-License-Identifier: BSD-3-Clause
"""The guest's ledger, broken in every way that it can be wrong."""

from __future__ import annotations

import struct

from verdict.fake_guest import FakeGuest, block_of, first, sealed_guest
from view.handover_image import PAGE, RAM

from khorig.rules.protocol import definitions as protocol


def ledger_entry(guest: FakeGuest, number: int) -> int:
    """Address of an entry of the ledger, in the ledger's pages that follow each other."""
    return guest.ledger_store + 16 * number


def test_ledger_hash() -> None:
    guest = sealed_guest()
    guest.image.write_u64(ledger_entry(guest, 3) + 8, 0x1234)
    page, hash = guest.ledger[3]
    findings = guest.first_generation()
    assert findings[0].rule == protocol.LEDGER and findings[0].where == f"{page:#018x}"
    assert "0x0000000000001234" in findings[0].what and f"{hash:#018x}" in findings[0].what
    assert findings[0].owner


def test_content_changed_before_the_stop() -> None:
    guest = sealed_guest()
    block = block_of(guest, 4)
    guest.image.ram.write(block + 3 * PAGE + 100, b"\xff" * 9)
    first(guest.first_generation(), protocol.LEDGER, block + 3 * PAGE, "memblock/mem0 page 3")


def test_ledger_page_that_is_not_preserved() -> None:
    guest = sealed_guest()
    guest.image.write_u64(ledger_entry(guest, 0), RAM.end - PAGE)
    finding = first(guest.first_generation(), protocol.LEDGER, RAM.end - PAGE, "")
    assert "not preserved" in finding.what


def test_ledger_order() -> None:
    guest = sealed_guest()
    for number, (page, hash) in ((4, guest.ledger[5]), (5, guest.ledger[4])):
        guest.image.ram.write(ledger_entry(guest, number), struct.pack("<QQ", page, hash))
    assert "not in key order" in guest.first_generation()[0].what


def test_page_that_the_ledger_lacks() -> None:
    guest = FakeGuest()
    hidden = block_of(guest, 4)
    guest.left_out.add(hidden)
    guest.seal()
    first(guest.first_generation(), protocol.LEDGER, hidden, "memblock/mem0 page 0")


def test_ledger_count_and_absence() -> None:
    guest = sealed_guest()
    guest.stop_fields["ledger_pages"] += 1
    first(guest.first_generation(), protocol.LEDGER, None, "")
    guest = FakeGuest()
    guest.seal()
    guest.image.clients.pop("khorig")
    guest.image.finish()
    assert protocol.LEDGER in {f.rule for f in guest.first_generation()}
