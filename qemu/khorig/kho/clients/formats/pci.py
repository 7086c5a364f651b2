# SPDX-License-Identifier: BSD-3-Clause
"""pci-v2: the devices that PCI's core preserves, a state that files share.

Layout: struct pci_ser in include/linux/kho/abi/pci.h of linux-mm/linux-mm@3bb8a42d4b99, queued for
Linux 7.4 (drivers/pci/liveupdate.c writes and reads it). Slots are used in any sequence: one with a
reference count of 0 is free.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass

from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.luo_decoder import LuoDecoder, LuoState
from khorig.mem.errors import DecodeError, Problems
from khorig.mem.memory import PhysRange, read_bytes

PCI_NAME = "pci-v2"
SUBJECT = "pci"
_HEAD = struct.Struct("<II")  # max_nr_devices, nr_devices
_DEVICE = struct.Struct("<IHH")  # domain, bdf, refcount
_MOST = 1 << 16  # slots: all functions of one segment
_SHOWN = 4


@dataclass(frozen=True)
class PciDevices:
    """The preserved devices."""

    slots: int
    devices: tuple[str, ...]  # "0000:00:03.0"

    def __str__(self) -> str:
        shown = "".join(f", {name}" for name in self.devices[:_SHOWN])
        more = f" and {len(self.devices) - _SHOWN} more" if len(self.devices) > _SHOWN else ""
        return f"{len(self.devices)} PCI devices in {self.slots} slots{shown}{more}"


def device_name(domain: int, bdf: int) -> str:
    """As lspci has it."""
    return f"{domain:04x}:{bdf >> 8:02x}:{bdf >> 3 & 31:02x}.{bdf & 7}"


def _decode(state: LuoState) -> DecodedClient:
    at, problems = state.data, Problems()
    slots, count = _HEAD.unpack(read_bytes(state.memory, at, _HEAD.size))
    if slots > _MOST:
        raise DecodeError("pci-count", at, f"{slots} slots, at most {_MOST} are read")
    raw = read_bytes(state.memory, at + _HEAD.size, slots * _DEVICE.size)
    if at % 8:
        problems.add("unaligned", at, "the list of devices is not 8-byte aligned")
    names = []
    for number, (domain, bdf, references) in enumerate(_DEVICE.iter_unpack(raw)):
        if references:
            names.append(device_name(domain, bdf))
        if references > 1:
            text = f"{device_name(domain, bdf)} is used {references} times, expected 0 or 1"
            problems.add("pci-refcount", at + _HEAD.size + number * _DEVICE.size, text)
    if not count == len(names) <= slots:
        text = f"{len(names)} of {slots} slots are used, expected {count}"
        problems.add("pci-count", at, text)
    for name, times in Counter(names).items():
        if times > 1:
            problems.add("pci-device", at, f"{name} is there {times} times, expected 1")
    area = PhysRange(at, _HEAD.size + slots * _DEVICE.size)
    devices = PciDevices(slots, tuple(names))
    return DecodedClient(devices, [(state.owner, area)], problems.items)


FORMATS = (LuoDecoder(PCI_NAME, _decode, SUBJECT),)
