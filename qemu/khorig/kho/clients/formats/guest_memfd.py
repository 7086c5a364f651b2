# SPDX-License-Identifier: BSD-3-Clause
"""guest_memfd_luo_v1: the memory of a virtual machine, a file of a session.

Layout: struct guest_memfd_luo_ser in include/linux/kho/abi/kvm.h of linux-mm/linux-mm@bd5682197f96
(v4 of the series). The token is that of its virtual machine in the same session.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.folio_array import FolioArray
from khorig.kho.clients.formats.kvm import KVM_NAME
from khorig.kho.clients.luo_decoder import LuoDecoder, LuoState
from khorig.kho.version import Version
from khorig.mem.errors import DecodeError, Problems
from khorig.mem.memory import PhysRange, read_bytes

GUEST_MEMFD_NAME = "guest_memfd_luo_v1"
SUBJECT = "guest-memfd"
_STRUCT = struct.Struct("<QQQQ16s")  # size, flags, nr_folios, vm_token, vmalloc
_KNOWN_FLAGS = 3  # can be mapped, shared from the start


@dataclass(frozen=True, eq=False)
class GuestMemfd:
    """Memory of a guest."""

    size: int  # bytes of the file
    flags: int
    vm_token: int
    array: FolioArray

    def __str__(self) -> str:
        memory = f"{self.size:#x} bytes in {len(self.array.folios)} folios"
        return f"guest memory, {memory}, flags {self.flags:#x}, of VM {self.vm_token:#x}"


def _decode(state: LuoState) -> DecodedClient:
    at, problems = state.data, Problems()
    raw = read_bytes(state.memory, at, _STRUCT.size)
    size, flags, count, token, vmalloc_raw = _STRUCT.unpack(raw)
    if flags & ~_KNOWN_FLAGS:
        problems.add("guest-memfd-flags", at, f"flags {flags:#x}, expected at most {_KNOWN_FLAGS}")
    kind = state.kinds.get(token)
    if kind is None or Version.of(kind).base != KVM_NAME:
        found = "no file" if kind is None else f"a {kind[:48]!r}"
        text = f"VM {token:#x} is {found} of the session, expected {KVM_NAME}"
        problems.add("guest-memfd-vm", at, text)
    what, own = state.owner, [(state.owner, PhysRange(at, _STRUCT.size))]
    try:
        array = state.lists.folio_array(vmalloc_raw, count, size, at, what, SUBJECT)
    except DecodeError as error:
        problems.keep(error.problem)
        return DecodedClient(None, own, problems.items)
    return array.decoded(GuestMemfd(size, flags, token, array), what, own, problems.items)


FORMATS = (LuoDecoder(GUEST_MEMFD_NAME, _decode, SUBJECT),)
