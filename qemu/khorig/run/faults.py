# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's deliberate defects (kernel/rig/fault.h)."""

from __future__ import annotations

FAULTS = {
    "root-not-preserved": "the root page is not in the tracker",
    "node-in-scratch": "a tracker node lies in scratch",
    "write-after-seal": "a byte of a preserved page is written after it was sealed",
    "segment-outside-scratch": "a part of the next kernel is placed on a preserved block",
    "tail-not-restored": "the last page of a block stays behind when it is restored",
    "hang-before-jump": "the kernel loops instead of jumping",
    "panic-after-restore": "the second generation reads through a wild pointer",
    "ap-spins-in-old-text": "a CPU is not parked and loops in the old kernel's text",
    "park-page-unowned": "a CPU is parked in a page that belongs to nobody",
    "root-published-early": "a fragment is linked before it is finished (scenario storm)",
    "lost-tracker-update": "a CPU ignores what others did to the tracker (scenario storm)",
}
