# SPDX-License-Identifier: BSD-3-Clause
"""Compares the guest's ledger of preserved pages with the host's hashes."""

from __future__ import annotations

import numpy as np

from khorig.kho.blocks import BoolArray, Int64Array
from khorig.kho.clients.khorig import LIVE_DEVICE_PATH, LIVE_IOMMU_PATH, LedgerArray
from khorig.kho.ownership import FRAGMENT_OWNER, LEDGER_OWNERS, LIVE_OWNERS
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import LEDGER
from khorig.rules.stop import Stop
from khorig.rules.temporal.record import Record

# Preserved after the ledger is written: the structure around it, the ledger itself, and what
# changes at any time.
_LIVE = (LIVE_DEVICE_PATH.lstrip("/"), LIVE_IOMMU_PATH.lstrip("/"), *LIVE_OWNERS)
_LATER = ("root", "kexec-metadata", FRAGMENT_OWNER, *LEDGER_OWNERS, *_LIVE)


def check_ledger(stop: Stop, sealed: Record) -> list[Finding]:
    """Compares the store "ledger" with the preserved pages and the host's hashes."""
    ledger = sealed.snapshot.scenario.ledger
    if ledger is None:
        return [stop.finding(LEDGER, "no readable store 'ledger'")]
    pages = (ledger["page"] >> np.uint64(stop.geometry.page_shift)).astype(np.int64)
    findings = _check_count(stop, ledger)
    findings += _check_pages(stop, sealed, ledger, pages)
    findings += _check_complete(stop, sealed, pages)
    return findings


def _check_count(stop: Stop, ledger: LedgerArray) -> list[Finding]:
    reported = stop.event.number("ledger_pages")
    if reported == len(ledger):
        return []
    return [stop.finding(LEDGER, f"guest reports {reported} entries, ledger has {len(ledger)}")]


def _check_pages(
    stop: Stop, sealed: Record, ledger: LedgerArray, pages: Int64Array
) -> list[Finding]:
    """The first entry that is not a preserved page, in key order, with the right hash."""

    def finding(bad: BoolArray, what: str) -> list[Finding]:
        entry = int(np.flatnonzero(bad)[0])
        address = int(ledger[entry]["page"])
        text = f"ledger entry {entry}, page {address:#018x}: {what} "
        text += f"({np.count_nonzero(bad)} entries in total)"
        return [stop.finding(LEDGER, text, address, sealed.snapshot.owners.name(int(pages[entry])))]

    frames = sealed.hashes.frames
    at = np.searchsorted(frames, pages)
    known = at < len(frames)
    known[known] = frames[at[known]] == pages[known]
    if not known.all():
        return finding(~known, "not preserved")
    every = np.searchsorted(sealed.snapshot.owners.frames, pages)
    ranks = np.argsort(sealed.snapshot.handover.blocks.page_frames(), kind="stable")[every]
    disordered = np.diff(ranks, prepend=-1) <= 0
    if disordered.any():
        return finding(disordered, "not in key order")
    hashes = sealed.hashes.values[at]
    wrong: BoolArray = hashes != ledger["hash"]
    if wrong.any():
        entry = int(np.flatnonzero(wrong)[0])
        guest, host = int(ledger[entry]["hash"]), int(hashes[entry])
        return finding(wrong, f"hash {guest:#018x}, memory hashes to {host:#018x}")
    return []


def _check_complete(stop: Stop, sealed: Record, pages: Int64Array) -> list[Finding]:
    live = sealed.snapshot.clients.live  # its page is to change
    names = (*_LATER, live.owner) if live else _LATER
    later = sealed.snapshot.owners.pages_of(*names)
    absent = np.setdiff1d(sealed.snapshot.owners.frames, np.union1d(pages, later))
    if not len(absent):
        return []
    frame = int(absent[0])
    address = frame << stop.geometry.page_shift
    what = f"preserved page {address:#018x} missing from the ledger ({len(absent)} in total)"
    return [stop.finding(LEDGER, what, address, sealed.snapshot.owners.name(frame))]
