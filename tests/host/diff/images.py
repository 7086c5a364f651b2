# SPDX-License-Identifier: BSD-3-Clause
"""Images of RAM with a handover, as runs keep them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from verdict.fake_guest import FRAMES, TABLE, FakeGuest
from view.handover_image import PAGE, RAM, SCRATCH, HandoverImage

FREE_PAGE = RAM.begin + 0x3000000
KERNEL_PAGE = RAM.begin + 0x3400000


def sealed() -> FakeGuest:
    """A guest with a complete handover and a page of its own."""
    guest = FakeGuest()
    guest.seal()
    guest.write_frames([*guest.image.allocated, (KERNEL_PAGE, 0)])
    return guest


def keep(image: HandoverImage, path: Path, **changes: Any) -> Path:
    """Writes `path`, which ends in .ram, and its description."""
    area = image.memory.ranges[0]
    path.write_bytes(image.ram.read(area.begin, area.size))
    description = {
        "arch": "x86_64",
        "machine": "q35",
        "generation": 1,
        "at": "sealed",
        "root": hex(image.root),
        "scratch": [[hex(s.begin), hex(s.size)] for s in image.scratch],
        "frames": {"table": hex(TABLE), "first": RAM.begin // PAGE, "count": FRAMES},
        "ram_map": [[hex(area.begin), hex(area.size), "0x0"]],
        "size": area.size,
        **changes,
    }
    path.with_suffix(".json").write_text(json.dumps(description))
    return path


SCRATCH_PAGE = SCRATCH[1].end - PAGE
