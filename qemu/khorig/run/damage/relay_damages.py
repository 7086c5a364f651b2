# SPDX-License-Identifier: BSD-3-Clause
"""Damage to what a khorig between two other kernels hands on."""

from __future__ import annotations

import libfdt

from khorig.kho.clients.khorig import KHORIG_PATH, METADATA_PATH
from khorig.kho.clients.linux import decode_linux_clients
from khorig.mem.memory import RamMemory
from khorig.run.damage.damage import Damage
from khorig.run.tamper.target import CannotTamper, Target

_OWN = (KHORIG_PATH, METADATA_PATH)


def _subtree_dropped(target: Target) -> str:
    names = [f"/{child.name}" for child in target.handover.root.tree.children]
    foreign = next((name for name in names if name not in _OWN), None)
    if foreign is None:
        raise CannotTamper("no client of another kernel")

    def edit(blob: bytearray) -> int:
        return int(libfdt.fdt_del_node(blob, libfdt.fdt_path_offset(blob, foreign)))

    target.edit_fdt(target.handover.root.address, edit)
    return f"client {foreign} dropped"


def _block_dropped(target: Target) -> str:
    """The last block that no fragment or blob lies in: nobody but its owner looks for it."""
    taken = {f.address for f in target.handover.fragments}
    blobs = [link.blob for link in target.handover.blobs]
    blocks, shift = target.handover.blocks, target.geometry.page_shift
    for frame, order in zip(blocks.frames[::-1].tolist(), blocks.orders[::-1].tolist()):
        begin, size = frame << shift, target.geometry.page_size << order
        if any(begin <= at < begin + size for at in taken):
            continue
        if any(blob.overlaps(begin, size) for blob in blobs):
            continue
        target.clear_key(target.geometry.key(begin, order))
        return f"block {begin:#018x} of order {order} dropped"
    raise CannotTamper("no block that only its owner knows")


def _page_written(target: Target) -> str:
    """Of a memfd, of which nobody keeps a sum."""
    luo = decode_linux_clients(RamMemory(target.ram), target.handover).luo
    files = [file for session in luo.sessions for file in session.files] if luo else []
    folios = next((file.memfd.folios for file in files if file.memfd), None)
    if folios is None or not len(folios):
        raise CannotTamper("no memfd")
    page = int(folios.frames[0]) << target.geometry.page_shift
    target.ram.write(page + 64, b"not mine")
    return f"page {page:#018x} of another kernel written"


RELAY_DAMAGES = (
    Damage("subtree-dropped", "a client is not handed on", _subtree_dropped, "sealed", 2),
    Damage("block-dropped", "a block is not handed on", _block_dropped, "sealed", 2),
    Damage("relayed-page-written", "a page of others is written", _page_written, "sealed", 2),
)
