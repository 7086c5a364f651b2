# SPDX-License-Identifier: BSD-3-Clause
"""Clients as text."""

from __future__ import annotations

from typing import Callable, Iterator, Mapping

from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.khorig import KHORIG_PATH, MEMBLOCK_PATH, METADATA_PATH
from khorig.kho.clients.linux import KHO_TEST_PATH, LUO_PATH, LuoFile
from khorig.kho.snapshot import Snapshot
from khorig.mem.untrusted import printable
from khorig.out.text import size

_MOST = 16  # of one kind


def client_lines(snapshot: Snapshot) -> list[str]:
    """One or more lines for every subnode of the root, including unknown ones."""
    lines = []
    for node in snapshot.handover.root.tree.children:
        path = f"/{node.name}"
        known = _KNOWN.get(path)
        found = list(known(snapshot)) if known else _outside(snapshot, node.name)
        for line in found or [_unknown(snapshot, path)]:
            lines.append(f"{node.name}: {line}")
    return lines


def _outside(snapshot: Snapshot, name: str) -> list[str]:
    """What a decoder outside of the tree says of a client."""
    decoded = snapshot.outside.get(name)
    return [] if decoded is None or decoded.state is None else [one_line(decoded.state)]


def one_line(state: object) -> str:
    """The first line of what an object of somebody else is as text."""
    try:
        text = str(state).partition("\n")[0]
    except Exception as error:  # code of somebody else
        return f"raised {error!r}"
    return printable(text)


def _unknown(snapshot: Snapshot, path: str) -> str:
    """Line for a client that is unknown or unreadable."""
    if fragment := snapshot.handover.fragment(path):
        kind = f"compatible {fragment.compatible!r}" if fragment.compatible else "no compatible"
        return f"unknown client: FDT of {fragment.size} bytes, {kind}, at {fragment.address:#x}"
    if link := snapshot.handover.blob(path):
        return f"unknown client: {link.blob.size} bytes at {link.blob.begin:#x}"
    return "unreadable, see `khorig check`"


def _metadata(snapshot: Snapshot) -> Iterator[str]:
    metadata = snapshot.clients.metadata
    if metadata:
        yield f"kexec count {metadata.kexec_count}, previous kernel {metadata.previous_release!r}"


def _memblock(snapshot: Snapshot) -> Iterator[str]:
    for reserved in snapshot.clients.reserved[:_MOST]:
        yield f"reserved memory '{reserved.name}' {reserved.area}, {size(reserved.area.size)}"


def _khorig(snapshot: Snapshot) -> Iterator[str]:
    clients = snapshot.clients
    if clients.archive:
        yield f"archive {clients.archive}, {size(clients.archive.size)}"
    if clients.log:
        text = clients.log.text
        yield f"log ring {text}, {size(clients.log.written)} written in total"
    for store in list(clients.stores.values())[:_MOST]:
        vmalloc = store.vmalloc
        blocks = f"{len(vmalloc.blocks)} blocks of order {vmalloc.order}"
        yield f"store '{store.name}' {size(store.size)} in {blocks}"
    if len(clients.stores) > _MOST:
        yield f"and {len(clients.stores) - _MOST} more stores"


def _luo(snapshot: Snapshot) -> Iterator[str]:
    luo = snapshot.linux.luo
    if luo is None:
        return
    yield f"{luo.compatible}, live update number {luo.liveupdate_num}"
    for session in luo.sessions[:_MOST]:
        yield f"session '{session.name}' with {session.count} files"
        for file in session.files[:_MOST]:
            yield f"  {_file(file, snapshot)}"
    for flb in luo.flbs[:_MOST]:
        state = _state(flb.decoded, flb.data, snapshot)
        yield f"shared state '{flb.name}' of {flb.count} files, {state}"


def _state(decoded: DecodedClient | None, data: int, snapshot: Snapshot) -> str:
    """What a decoder has read; without one where it is and how large, if it is memory at all."""
    if decoded is not None and decoded.state is not None:
        return one_line(decoded.state)
    why = "unknown" if decoded is None else "unreadable, see `khorig check`"
    block = snapshot.handover.index.find(data >> snapshot.geometry.page_shift)
    if block is None:
        return f"{why}, data {data:#x}, not preserved memory"
    frame, order = block
    end = frame + (1 << order) << snapshot.geometry.page_shift
    return f"{why}, at most {end - data} bytes at {data:#x}"


def _file(file: LuoFile, snapshot: Snapshot) -> str:
    line = f"token {file.token:#x}: {file.compatible}"
    if file.memfd is None:
        return f"{line}, {_state(file.decoded, file.data, snapshot)}"
    memfd = file.memfd
    return f"{line}, {size(memfd.size)} in {len(memfd.folios)} folios, seals {memfd.seals:#x}"


def _kho_test(snapshot: Snapshot) -> Iterator[str]:
    test = snapshot.linux.kho_test
    if test:
        state = "ok" if test.adds_up else "WRONG"
        pages = size(test.folios.page_count << snapshot.geometry.page_shift)
        yield f"{len(test.folios)} folios, {pages}, checksum {test.found:#010x} {state}"


_KNOWN: Mapping[str, Callable[[Snapshot], Iterator[str]]] = {
    METADATA_PATH: _metadata,
    MEMBLOCK_PATH: _memblock,
    KHORIG_PATH: _khorig,
    LUO_PATH: _luo,
    KHO_TEST_PATH: _kho_test,
}
