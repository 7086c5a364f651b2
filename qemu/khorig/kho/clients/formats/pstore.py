# SPDX-License-Identifier: BSD-3-Clause
"""pstore-kho: the kernel log that pstore hands over, a client of the root.

Layout: struct pstore_ser, version 1, in include/linux/kho/abi/pstore.h of intel-lab-lkp/linux@
a485b526b2c0; its fields are aligned, not packed. The tree hands over no blob size: the rest of the
blob, whatever its link says, is space for the record. An earlier posting made a device tree of it
(pstore-kho-v1), which is shown as one and not read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from khorig.kho.client_decoder import ClientDecoder, DecodedClient
from khorig.kho.handover import Handover
from khorig.mem.errors import DecodeError
from khorig.mem.memory import PhysicalMemory, PhysRange, read_bytes

PSTORE_NAME = "pstore-kho"
SUBJECT = "pstore"
VERSION = 1
_HEAD = struct.Struct("<I4xqqIiIII")  # version; size, sec, nsec, count, reason, part, compressed


@dataclass(frozen=True)
class PstoreRecord:
    """The log of a kernel."""

    log: PhysRange
    seconds: int  # since 1970, when it was written
    count: int
    reason: int  # enum kmsg_dump_reason of the kernel that wrote it
    part: int
    is_compressed: bool

    def __str__(self) -> str:
        if not self.log.size:
            return "no record"
        what = "compressed log" if self.is_compressed else "log"
        where = f"{self.log.size} bytes at {self.log.begin:#x}"
        return f"{what}, {where}, part {self.part}, reason {self.reason}, written at {self.seconds}"


def _decode(memory: PhysicalMemory, handover: Handover) -> DecodedClient:
    link = handover.blob(f"/{PSTORE_NAME}")
    if link is None:  # a device tree, or a link with a problem of its own
        return DecodedClient(None)
    at, room = link.blob.begin, link.blob.size - _HEAD.size
    if room < 0:
        raise DecodeError("pstore-size", at, f"{link.blob.size} bytes, expected {_HEAD.size}")
    fields = _HEAD.unpack(read_bytes(memory, at, _HEAD.size))
    version, size, seconds, _, count, reason, part, compressed = fields
    if version != VERSION:
        raise DecodeError("pstore-version", at, f"version {version}, expected {VERSION}")
    if not 0 <= size <= room:
        raise DecodeError("pstore-size", at + 8, f"a record of {size} bytes, expected 0 to {room}")
    log = PhysRange(at + _HEAD.size, size)
    return DecodedClient(PstoreRecord(log, seconds, count, reason, part, bool(compressed)))


FORMATS = (ClientDecoder(PSTORE_NAME, _decode, SUBJECT),)
