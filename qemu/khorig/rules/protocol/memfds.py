# SPDX-License-Identifier: BSD-3-Clause
"""What a Linux has sealed of the memfds of the rig's user space."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from khorig.guest.event import GuestEvent
from khorig.kho.clients.linux import LuoFile, Memfd
from khorig.kho.layout import Geometry
from khorig.kho.snapshot import Snapshot
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import MEMFDS
from khorig.rules.protocol.handed_over import HandedOver
from khorig.rules.stop import Stop

_FLAGS = 3  # of a folio: dirty, so that nobody drops it, and up to date, so that nobody clears it
_MOST = 100  # files; the rig has eight


class SealedMemfds:
    """A Witness (khorig.run.judging): user space says with each file what it is to be, and the
    kernel's own description of it in memory is held against that."""

    def __init__(self) -> None:
        self._files: list[HandedOver] = []

    def take(self, event: GuestEvent) -> list[Finding]:
        """See khorig.run.judging.Witness. Raises EventFieldError."""
        if event.kind == "boot":
            self._files.clear()
        elif event.kind == "memfd" and event.fields.get("received") is False:
            file = HandedOver.of(event)
            if len(self._files) < _MOST:
                self._files.append(file)
        return []

    def finish(self) -> list[Finding]:
        """See khorig.run.judging.Witness."""
        return []

    def check(self, stop: Stop, snapshot: Snapshot) -> list[Finding]:
        """Where the kernel jumps, all that it serializes being there."""
        if stop.at != "sealed" or "pc" not in stop.event.fields or not self._files:
            return []
        luo = snapshot.linux.luo
        sealed = {
            (session.name, file.token): file
            for session in (luo.sessions if luo else ())
            for file in session.files
        }
        findings = []
        for said in self._files:
            file = sealed.get((said.session, said.token))
            at = file.memfd.at if file and file.memfd else None
            findings += [
                stop.finding(MEMFDS, f"memfd '{said.name}': {what}", at, said.owner)
                for what in _wrong(said, file, snapshot.geometry)
            ]
        return findings


def _wrong(said: HandedOver, file: LuoFile | None, geometry: Geometry) -> Iterator[str]:
    if file is None:
        yield "is not among the files that are handed over"
    if file is None or file.memfd is None:  # a kind that is not decoded, or a broken one
        return
    memfd = file.memfd
    for name in ("size", "seals", "position"):
        found, expected = getattr(memfd, name), getattr(said, name)
        if found != expected:
            yield f"{name} {found:#x} is handed over, expected {expected:#x}"
    pages = -(-said.size >> geometry.page_shift)
    if missing := pages - _covered(memfd, pages):
        yield f"{missing} of {pages} pages have no folio"
    odd = np.flatnonzero(memfd.folio_flags & np.uint64(_FLAGS) != np.uint64(_FLAGS))
    if len(odd):
        index, flags = int(memfd.indices[odd[0]]), int(memfd.folio_flags[odd[0]])
        what = f"the folio of page {index} has flags {flags:#x}, expected {_FLAGS:#x}"
        yield f"{len(odd)} of {len(memfd.indices)} folios are not dirty and up to date: {what}"


def _covered(memfd: Memfd, pages: int) -> int:
    """How many of the first pages of a file have a folio."""
    begins = np.minimum(memfd.indices, np.uint64(pages)).astype(np.int64)
    ends = np.minimum(begins + memfd.folios.counts, pages)
    return int((ends - begins).sum())
