# SPDX-License-Identifier: BSD-3-Clause
"""Lists of blocks, and of folios, that Linux's clients keep in vmalloc form."""

from __future__ import annotations

import numpy as np

from khorig.kho.blocks import Blocks
from khorig.kho.clients.folio_array import FolioArray
from khorig.kho.handover import Handover
from khorig.kho.radix import Uint64Array
from khorig.kho.vmalloc import Vmalloc, decode_vmalloc, read_listed
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory

FOLIO = np.dtype([("frame", "<u8"), ("index", "<u8")])
_FRAME_BITS = 52  # the rest of the word are flags
_FRAME_MASK = (1 << _FRAME_BITS) - 1


def folio_flags(array: bytes) -> Uint64Array:
    """The flags of each folio of an array."""
    flags: Uint64Array = np.frombuffer(array, dtype=FOLIO)["frame"] >> np.uint64(_FRAME_BITS)
    return flags


class ListReader:
    """Reads lists of one handover. All together they name at most what is preserved, so a hostile
    dump cannot have the same list read over and over."""

    def __init__(self, memory: PhysicalMemory, handover: Handover) -> None:
        self._memory = memory
        self._index = handover.index
        self._geometry = handover.geometry
        self._unlisted = handover.most_listed  # preserved blocks that no array of folios lists
        self._unmapped = handover.most_listed  # and no list in vmalloc form

    def vmalloc(self, raw: bytes, at: int) -> Vmalloc:
        """As `decode_vmalloc`."""
        vmalloc = decode_vmalloc(self._memory, raw, at, self._geometry, self._unmapped)
        self._unmapped -= len(vmalloc.blocks)
        return vmalloc

    def take(self, count: int, at: int, what: str) -> None:
        """Each folio is a block of its own, so there are not more of them in all. Raises
        DecodeError "folio-count"."""
        if count > self._unlisted:
            text = f"{what}: {count} folios, but only {self._unlisted} preserved blocks are left"
            raise DecodeError("folio-count", at, text)
        self._unlisted -= count

    def array(self, vmalloc: Vmalloc, size: int, at: int, what: str, id: str) -> bytes:
        """The first `size` bytes of what is mapped. Raises DecodeError `id` when it is less."""
        room = vmalloc.total_pages << self._geometry.page_shift
        if size > room:
            raise DecodeError(id, at, f"{what}: an array of {size} bytes in pages for {room}")
        return read_listed(self._memory, vmalloc, size)

    def folios(
        self, array: bytes, size: int, at: int, what: str, kind: str
    ) -> tuple[Blocks, Uint64Array]:
        """The blocks of the folios of a file of `size` bytes, and the page offset of each.

        Raises DecodeError `kind`-folio for one that is no preserved block, `kind`-index for one
        behind the end of the file and for two of the same page.
        """
        folios = np.frombuffer(array, dtype=FOLIO)
        frames = (folios["frame"] & np.uint64(_FRAME_MASK)).astype(np.int64)
        preserved, blocks = self._index.find_all(frames)
        odd = np.flatnonzero(~preserved | (blocks.frames != frames))
        if len(odd):
            address = int(frames[odd[0]]) << self._geometry.page_shift
            text = f"{what}: folio {odd[0]} of {len(frames)} is not preserved"
            raise DecodeError(f"{kind}-folio", address, text)
        indices = folios["index"].copy()
        pages = -(-size >> self._geometry.page_shift)
        if len(indices) and int(indices.max()) >= pages:
            text = f"{what}: a folio for page {indices.max()} of a file of {pages} pages"
            raise DecodeError(f"{kind}-index", at, text)
        if len(np.unique(indices)) != len(indices):
            raise DecodeError(f"{kind}-index", at, f"{what}: two folios for one page")
        return blocks, indices

    def folio_array(
        self, raw: bytes, count: int, size: int, at: int, what: str, kind: str
    ) -> FolioArray:
        """`count` folios of a file of `size` bytes, in pages that `raw` lists in vmalloc form.

        Raises DecodeError `kind`-count, "folio-count", and those of `folios` and `vmalloc`.
        """
        self.take(count, at, what)
        vmalloc = self.vmalloc(raw, at)
        array = self.array(vmalloc, count * FOLIO.itemsize, at, what, f"{kind}-count")
        return FolioArray(vmalloc, *self.folios(array, size, at, what, kind))
