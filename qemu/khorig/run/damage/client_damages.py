# SPDX-License-Identifier: BSD-3-Clause
"""Damage to the root, to links and to the state of clients."""

from __future__ import annotations

import struct

import libfdt

from khorig.kho.clients.khorig import KHORIG_PATH, METADATA_PATH
from khorig.kho.layout import COMPATIBLE_PROPERTY, DATA_PROPERTY, SIZE_PROPERTY
from khorig.run.damage.damage import Damage
from khorig.run.tamper.target import CannotTamper, Target

_COUNT_AT = 4 + 65  # in kexec-metadata: kexec_count behind version and release


def _half_node(target: Target) -> str:
    def edit(blob: bytearray) -> int:
        return int(libfdt.fdt_add_subnode(blob, 0, "half"))

    target.edit_fdt(target.handover.root.address, edit)
    return "client 'half' of the root has no property"


def _swapped_client(target: Target) -> str:
    address = target.fragment(KHORIG_PATH).address
    value = struct.pack(">Q", address)
    target.set_property(target.handover.root.address, KHORIG_PATH, DATA_PROPERTY, value)
    return f"address of {KHORIG_PATH} in big-endian order"


def _unaligned_fragment(target: Target) -> str:
    fragment = target.fragment(KHORIG_PATH)
    raw = target.ram.read(fragment.address, target.geometry.page_size)
    page = target.geometry.page_size
    target.ram.write(fragment.address, raw[-4:] + raw[: page - 4])
    root = target.handover.root.address
    at = fragment.address + 4
    target.set_property(root, KHORIG_PATH, DATA_PROPERTY, struct.pack("<Q", at))
    target.set_property(root, KHORIG_PATH, SIZE_PROPERTY, struct.pack("<Q", page - 4))
    return f"fragment {KHORIG_PATH} moved to {at:#018x}, 4 bytes off"


def _size_over_page(target: Target) -> str:
    link = target.handover.blob(METADATA_PATH)
    if link is None:
        raise CannotTamper(f"no client {METADATA_PATH}")
    size = struct.pack("<Q", link.blob.size + (64 << 20))
    target.set_property(target.handover.root.address, METADATA_PATH, SIZE_PROPERTY, size)
    return f"'{SIZE_PROPERTY}' of {METADATA_PATH} is 64 MiB too long"


def _metadata(target: Target) -> int:
    link = target.handover.blob(METADATA_PATH)
    if link is None:
        raise CannotTamper(f"no client {METADATA_PATH}")
    return link.blob.begin


def _count_lost(target: Target) -> str:
    at = _metadata(target) + _COUNT_AT
    target.ram.write(at, struct.pack("<I", 0))
    return f"kexec_count at {at:#018x} set to 0"


def _metadata_version(target: Target) -> str:
    target.ram.write(_metadata(target), struct.pack("<I", 2))
    return "version of kexec-metadata set to 2"


def _client_version(target: Target) -> str:
    address = target.fragment(KHORIG_PATH).address
    target.set_property(address, "/", COMPATIBLE_PROPERTY, b"khorig-v9\0")
    return f"compatible of {KHORIG_PATH} set to khorig-v9"


CLIENT_DAMAGES = (
    Damage("half-node", "a client has neither address nor size", _half_node),
    Damage("client-swapped", "the address of a client is big-endian", _swapped_client),
    Damage("fragment-unaligned", "a fragment begins at 4 bytes", _unaligned_fragment),
    Damage("size-too-long", "a blob's size reaches into what follows it", _size_over_page),
    Damage("count-lost", "the count of jumps starts over", _count_lost),
    Damage("metadata-version", "kexec-metadata has version 2", _metadata_version),
    Damage("client-version", "a client has a later version", _client_version),
)
