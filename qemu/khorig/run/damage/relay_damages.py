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


def _memfd_frame(target: Target) -> int:
    """The first frame of a memfd, of which nobody but its owner knows."""
    luo = decode_linux_clients(RamMemory(target.ram), target.handover).luo
    files = [file for session in luo.sessions for file in session.files] if luo else []
    folios = next((file.memfd.folios for file in files if file.memfd), None)
    if folios is None or not len(folios):
        raise CannotTamper("no memfd")
    return int(folios.frames[0])


def _block_dropped(target: Target) -> str:
    blocks, frame = target.handover.blocks, _memfd_frame(target)
    order = next((int(o) for f, o in zip(blocks.frames, blocks.orders) if f == frame), None)
    if order is None:
        raise CannotTamper("no block begins at the memfd's first folio")
    begin = frame << target.geometry.page_shift
    target.clear_key(target.geometry.key(begin, order))
    return f"block {begin:#018x} of order {order} dropped"


def _page_written(target: Target) -> str:
    """Of a memfd, of which nobody keeps a sum."""
    page = _memfd_frame(target) << target.geometry.page_shift
    target.ram.write(page + 64, b"not mine")
    return f"page {page:#018x} of another kernel written"


RELAY_DAMAGES = (
    Damage("subtree-dropped", "a client is not handed on", _subtree_dropped, "sealed", 2),
    Damage("block-dropped", "a block is not handed on", _block_dropped, "sealed", 2),
    Damage("relayed-page-written", "a page of others is written", _page_written, "sealed", 2),
)
