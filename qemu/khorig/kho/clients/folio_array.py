# SPDX-License-Identifier: BSD-3-Clause
"""The folios of one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from khorig.kho.blocks import Blocks
from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.scenario_blocks import OwnedBlocks
from khorig.kho.radix import Uint64Array
from khorig.kho.vmalloc import Vmalloc
from khorig.mem.errors import Problem
from khorig.mem.memory import PhysRange


@dataclass(frozen=True, eq=False)
class FolioArray:
    """An array of folios, and where it lies itself."""

    vmalloc: Vmalloc  # of the array
    folios: Blocks  # as the tracker has them, in the array's sequence
    indices: Uint64Array  # page offset in the file of each

    def decoded(
        self,
        state: object,
        owner: str,
        owned: Sequence[tuple[str, PhysRange]],
        problems: Sequence[Problem],
    ) -> DecodedClient:
        """`state`, with this array and its folios among what `owner` owns."""
        lists = [(f"the array of folios of {owner}", self.vmalloc)]
        return DecodedClient(state, owned, problems, self.owned(owner), lists)

    def owned(self, owner: str) -> tuple[OwnedBlocks, ...]:
        """All blocks, by the names that they have for a memfd as well."""
        shift = self.vmalloc.geometry.page_shift
        return (
            OwnedBlocks(f"{owner} chunk", Blocks.of((c >> shift, 0) for c in self.vmalloc.chunks)),
            OwnedBlocks(f"{owner} array", self.vmalloc.blocks),
            OwnedBlocks(f"{owner} folio", self.folios),
        )
