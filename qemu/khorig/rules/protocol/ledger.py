# SPDX-License-Identifier: BSD-3-Clause
"""The guest's own account of what it preserved, against the host's."""

from __future__ import annotations

import numpy as np

from khorig.kho.blocks import BoolArray, Int64Array
from khorig.kho.clients.khorig import LedgerArray
from khorig.kho.ownership import FRAGMENT_OWNER, LEDGER_OWNERS
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import LEDGER
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record

# What is preserved after the ledger was made: the structure that leads to everything, and itself.
_LATER = ("root", "kexec-metadata", FRAGMENT_OWNER, *LEDGER_OWNERS)


def check_ledger(stop: Stop, sealed: Record) -> list[Finding]:
    """Compares the store "ledger" with the preserved pages and with the host's hashes."""
    ledger = sealed.snapshot.scenario.ledger
    if ledger is None:
        return [stop.finding(LEDGER, "there is no readable store 'ledger'")]
    pages = (ledger["page"] >> np.uint64(stop.geometry.page_shift)).astype(np.int64)
    findings = _check_count(stop, ledger)
    findings += _check_pages(stop, sealed, ledger, pages)
    findings += _check_complete(stop, sealed, pages)
    return findings


def _check_count(stop: Stop, ledger: LedgerArray) -> list[Finding]:
    said = stop.event.number("ledger_pages")
    if said == len(ledger):
        return []
    return [stop.finding(LEDGER, f"the guest says {said} entries, the ledger has {len(ledger)}")]


def _check_pages(
    stop: Stop, sealed: Record, ledger: LedgerArray, pages: Int64Array
) -> list[Finding]:
    """Each entry is of a preserved page, in the order of the keys, with the right hash. The first
    that is not."""

    def finding(bad: BoolArray, what: str) -> list[Finding]:
        entry = int(np.flatnonzero(bad)[0])
        address = int(ledger[entry]["page"])
        text = f"entry {entry} of the ledger, page {address:#018x}, {what} "
        text += f"({np.count_nonzero(bad)} such entries)"
        return [stop.finding(LEDGER, text, address, sealed.snapshot.owners.name(int(pages[entry])))]

    frames = sealed.hashes.frames
    at = np.searchsorted(frames, pages)
    known = at < len(frames)
    known[known] = frames[at[known]] == pages[known]
    if not known.all():
        return finding(~known, "is not preserved")
    ranks = np.argsort(sealed.snapshot.handover.blocks.page_frames(), kind="stable")[at]
    disordered = np.diff(ranks, prepend=-1) <= 0
    if disordered.any():
        return finding(disordered, "is not in the order of the keys")
    hashes = sealed.hashes.values[at]
    wrong: BoolArray = hashes != ledger["hash"]
    if wrong.any():
        entry = int(np.flatnonzero(wrong)[0])
        guest, host = int(ledger[entry]["hash"]), int(hashes[entry])
        return finding(wrong, f"has the hash {guest:#018x}, memory hashes to {host:#018x}")
    return []


def _check_complete(stop: Stop, sealed: Record, pages: Int64Array) -> list[Finding]:
    later = sealed.snapshot.owners.pages_of(*_LATER)
    absent = np.setdiff1d(sealed.snapshot.owners.frames, np.union1d(pages, later))
    if not len(absent):
        return []
    frame = int(absent[0])
    address = frame << stop.geometry.page_shift
    what = f"page {address:#018x} is preserved, but not in the ledger ({len(absent)} such pages)"
    return [stop.finding(LEDGER, what, address, sealed.snapshot.owners.name(frame))]
