# SPDX-License-Identifier: BSD-3-Clause
"""Which blocks Linux's clients keep."""

from __future__ import annotations

from typing import Iterable, Iterator

from khorig.kho.blocks import Blocks
from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.linux import LinuxClients, LuoFile
from khorig.kho.clients.scenario_blocks import OwnedBlocks
from khorig.kho.layout import Geometry
from khorig.kho.version import Version
from khorig.mem.memory import PhysRange


def decoded_of_luo(clients: LinuxClients) -> Iterator[tuple[str, DecodedClient]]:
    """What decoders have read of LUO's files and shared states, by the name of their decoder."""
    luo = clients.luo
    for flb in luo.flbs if luo else ():
        if flb.decoded is not None:
            yield Version.of(flb.name).base, flb.decoded
    for session in luo.sessions if luo else ():
        for file in session.files:
            if file.decoded is not None:
                yield Version.of(file.compatible).base, file.decoded


def linux_blocks(clients: LinuxClients, geometry: Geometry) -> list[OwnedBlocks]:
    """Everything that hangs from LUO and from the test module, by owner."""
    owned: list[OwnedBlocks] = []

    def keep(owner: str, blocks: Blocks) -> None:
        if len(blocks):
            owned.append(OwnedBlocks(owner, blocks))

    def pages(addresses: Iterable[int]) -> Blocks:
        return Blocks.of((address >> geometry.page_shift, 0) for address in addresses)

    def area(place: PhysRange) -> Blocks:
        first = place.begin >> geometry.page_shift
        return Blocks.of((frame, 0) for frame in range(first, -(-place.end >> geometry.page_shift)))

    def file(name: str, entry: LuoFile) -> None:
        if memfd := entry.memfd:
            keep(name, pages([memfd.at]))
            keep(f"{name} chunk", pages(memfd.vmalloc.chunks))
            keep(f"{name} array", memfd.vmalloc.blocks)
            keep(f"{name} folio", memfd.folios)

    if clients.luo:
        keep("LUO sessions", pages(clients.luo.chain.pages))
        keep("LUO shared state", area(clients.luo.flb_pages))
        for session in clients.luo.sessions:
            keep(f"LUO/{session.name} files", pages(session.chain.pages))
            for entry in session.files:
                file(f"LUO/{session.name}/{entry.token:#x}", entry)
    if clients.kho_test:
        keep("kho_test chunk", pages(clients.kho_test.vmalloc.chunks))
        keep("kho_test array", clients.kho_test.vmalloc.blocks)
        keep("kho_test folio", clients.kho_test.folios)
    return owned
