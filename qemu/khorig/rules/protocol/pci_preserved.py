# SPDX-License-Identifier: BSD-3-Clause
"""PCI devices that a Linux preserves (pci-v2), in configuration space."""

from __future__ import annotations

from typing import Sequence

from khorig.guest.pci_config import PciLooks, bdf_name
from khorig.kho.clients.formats.pci import PciDevices
from khorig.kho.snapshot import Snapshot
from khorig.rules.finding import Finding
from khorig.rules.protocol.definitions import PCI_PRESERVED
from khorig.rules.stop import Stop

_SEGMENT = "0000:"  # the only one that QEMU's machines have


def preserved_devices(snapshot: Snapshot) -> tuple[str, ...]:
    """Their names, "0000:00:03.0"."""
    states = (client.state for _, client in snapshot.decoded)
    found = (state.devices for state in states if isinstance(state, PciDevices))
    return tuple(dict.fromkeys(name for devices in found for name in devices))


def check_pci(stop: Stop, looks: PciLooks, names: Sequence[str]) -> list[Finding]:
    """What of preserved devices is not as it was when the user space of the kernel before spoke for
    the last time."""
    before, now = looks.before, looks.now
    if before is None or not names:
        return []
    if why := before.unread or now.unread:
        what = f"configuration space could not be read: {why}"
        return [stop.finding(PCI_PRESERVED, what, owner=names[0])]
    paths = {_SEGMENT + bdf_name(one.function): one.path for one in before.functions}
    changes = [change for change in before.changes(now) if change.is_kept]
    findings = []
    for name in names:
        owner = f"PCI device {name}"
        if name not in paths:
            what = f"{owner} is preserved, and QEMU showed no such function at sealed"
            findings.append(stop.finding(PCI_PRESERVED, what, owner=owner))
        findings += [
            stop.finding(PCI_PRESERVED, f"preserved: {change.text}", owner=owner)
            for change in changes
            if change.path == paths.get(name)
        ]
    return findings
