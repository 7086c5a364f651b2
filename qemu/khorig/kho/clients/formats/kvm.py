# SPDX-License-Identifier: BSD-3-Clause
"""kvm_vm_luo_v1: a virtual machine, a file of a session.

Layout: struct kvm_luo_ser in include/linux/kho/abi/kvm.h of linux-mm/linux-mm@bd5682197f96 (v4 of
the series). Under the same string other postings end behind the type, or have there an address of
state that depends on the architecture (soleen/linux@394680db7fc2). Those are told by a list of
attributes without pages, and of them only the type is read. vCPUs (kvm_vcpu_luo_v1) are not read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from khorig.kho.blocks import Blocks
from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.luo_decoder import LuoDecoder, LuoState
from khorig.kho.clients.scenario_blocks import OwnedBlocks
from khorig.kho.vmalloc import STRUCT as VMALLOC
from khorig.mem.errors import Problems
from khorig.mem.memory import PhysRange, read_bytes

KVM_NAME = "kvm_vm_luo_v1"
SUBJECT = "kvm"
_STRUCT = struct.Struct("<QQ16s")  # type, nr_mem_attrs, vmalloc
_ATTRIBUTE = np.dtype([("frame", "<u8"), ("attributes", "<u8")])


@dataclass(frozen=True)
class KvmVm:
    """A virtual machine."""

    type: int  # as KVM_CREATE_VM takes it
    attributes: int | None  # guest frames that have some; None in another layout

    def __str__(self) -> str:
        known = "another layout behind it" if self.attributes is None else ""
        return f"VM of type {self.type:#x}, {known or f'{self.attributes} memory attributes'}"


def _decode(state: LuoState) -> DecodedClient:
    at, shift, problems = state.data, state.handover.geometry.page_shift, Problems()
    type_, count, raw = _STRUCT.unpack(read_bytes(state.memory, at, _STRUCT.size))
    own = (state.owner, PhysRange(at, _STRUCT.size))
    first, total_pages, _, _ = VMALLOC.unpack(raw)
    if not first or not total_pages:
        return DecodedClient(KvmVm(type_, None if count or any(raw) else 0), [own])
    vmalloc = state.lists.vmalloc(raw, at)
    size = count * _ATTRIBUTE.itemsize
    array = state.lists.array(vmalloc, size, at, "the memory attributes", "kvm-attributes")
    frames = np.frombuffer(array, dtype=_ATTRIBUTE)["frame"]
    unique, times = np.unique(frames, return_counts=True)
    for frame in unique[times > 1].tolist():
        problems.add("kvm-attributes", at, f"guest frame {frame:#x} has attributes twice")
    chunks = Blocks.of((chunk >> shift, 0) for chunk in vmalloc.chunks)
    return DecodedClient(
        KvmVm(type_, count),
        [own],
        problems.items,
        (
            OwnedBlocks(f"{state.owner} chunk", chunks),
            OwnedBlocks(f"{state.owner} attributes", vmalloc.blocks),
        ),
        [(f"the memory attributes of {state.owner}", vmalloc)],
    )


FORMATS = (LuoDecoder(KVM_NAME, _decode, SUBJECT),)
