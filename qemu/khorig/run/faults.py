# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's injected faults (kernel/rig/fault.h)."""

from __future__ import annotations

FAULTS = {
    "root-not-preserved": "the root page is not in the tracker",
    "node-in-scratch": "a tracker node is in scratch",
    "write-after-seal": "a byte of a preserved page is written after sealing",
    "segment-outside-scratch": "a segment of the next kernel is placed over a preserved block",
    "tail-not-restored": "the last page of a block is not restored",
    "hang-before-jump": "the kernel loops instead of jumping",
    "panic-after-restore": "generation 2 dereferences a wild pointer",
    "undefined-behavior": "generation 2 shifts by the width of a word (kernel/ubsan)",
    "ap-spins-in-old-text": "a CPU is not parked and spins in the old kernel's text",
    "park-page-unowned": "a CPU is parked in an unowned page",
    "root-published-early": "a fragment is linked before it is finished (scenario storm)",
    "lost-tracker-update": "a CPU overwrites other CPUs' tracker updates (scenario storm)",
    "bus-master-left-on": "PCI functions keep bus mastering across the jump",
    "virtio-left-on": "virtio-mmio devices are not reset (needs one: -- -device virtio-rng-device)",
    "timer-left-armed": "timers run on across the jump",
    "interrupt-left-unmasked": "interrupt lines stay unmasked across the jump",
    "interrupt-controller-left-on": "interrupt controllers stay on, LPIs and ITS included",
    "write-text": "generation 2 writes its text",
    "write-constants": "generation 2 writes its constants",
    "execute-data": "generation 2 executes its data",
    "execute-ram": "generation 2 executes allocated memory",
    "stack-overflow": "generation 2 overflows the stack of its first CPU",
    "stack-overflow-ap": "generation 2 overflows the stack of its last CPU (--smp)",
}
