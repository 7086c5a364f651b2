# SPDX-License-Identifier: BSD-3-Clause
"""Handovers with what LUO carries for others. No kernel here writes these formats: the images are
made from the headers that docs/inspect.md names."""

from __future__ import annotations

import struct
from pathlib import Path

from dumps.sample import ImageMemory
from view.handover_image import PAGE, SCRATCH, HandoverImage, typical_image

from khorig.kho.client_decoder import DecodedClient
from khorig.kho.snapshot import Snapshot, find_snapshot
from khorig.mem.formats import Dump, RunFacts
from khorig.rules.check import check
from khorig.rules.outcome import Status

VIOLATED = (Status.FAILED, Status.WARNING)


class LuoImage:
    """A handover with sessions and shared states; add to it, then `finish`."""

    def __init__(self) -> None:
        self.image: HandoverImage = typical_image()
        self._files: dict[str, list[bytes]] = {}
        self._flbs: list[bytes] = []

    def blob(self, content: bytes, order: int = 0) -> int:
        """A preserved block of zeros that begins with `content`."""
        at = self.image.preserved_block(order)
        self.image.ram.write(at, content.ljust(PAGE << order, b"\0"))
        return at

    def file(self, compatible: str, data: int, token: int, session: str = "vm") -> None:
        """A file of a session."""
        entry = struct.pack("<48sQQ", compatible.encode(), data, token)
        self._files.setdefault(session, []).append(entry)

    def flb(self, name: str, data: int, files: int = 1) -> None:
        """A state that files share."""
        self._flbs.append(struct.pack("<48sQQ", name.encode(), data, files))

    def client(self, name: str, at: int, size: int) -> None:
        """A subnode of the root."""
        self.image.clients[name] = self.image.link(at, size)

    def finish(self) -> LuoImage:
        """Writes LUO's own structures, if there is anything in them, and the root."""
        sessions = []
        for name, files in self._files.items():
            block = self.blob(struct.pack("<QQ", 0, len(files)) + b"".join(files))
            sessions.append(struct.pack("<64sQQ", name.encode(), block, len(files)))
        first = flbs = 0
        if sessions:
            first = self.blob(struct.pack("<QQ", 0, len(sessions)) + b"".join(sessions))
        if self._flbs:
            flbs = self.blob(struct.pack("<QQ", 1, len(self._flbs)) + b"".join(self._flbs))
        if first or flbs:
            luo = struct.pack("<8sQQQ", b"luo-v5", 1, first, flbs)
            self.client("LUO", self.blob(luo), len(luo))
        self.image.finish()
        return self

    def dump(self) -> Dump:
        """The memory as a dump of a run: of where scratch is there is no other witness."""
        run = RunFacts(1, "sealed", None, None, SCRATCH)
        return Dump(Path("luo"), "test", ImageMemory(self.image), "arm64", "virt", 12, None, run)

    def snapshot(self) -> Snapshot:
        """What is read of it."""
        return find_snapshot(self.dump())

    def decoded(self, name: str) -> DecodedClient:
        """The one state of that name."""
        (found,) = [client for other, client in self.snapshot().decoded if other == name]
        return found


def violated(image: LuoImage) -> dict[str, list[str]]:
    """The rules that a handover does not keep, with what is said."""
    return {
        outcome.rule.id: [violation.text for violation in outcome.violations]
        for outcome in check(image.snapshot())
        if outcome.status in VIOLATED
    }
