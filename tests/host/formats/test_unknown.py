# SPDX-License-Identifier: BSD-3-Clause
"""What nothing here knows is listed, and nothing of it is broken."""

from __future__ import annotations

import json
from collections import Counter

from formats.luo_image import LuoImage, violated

from khorig.out.inspect.client_lines import client_lines
from khorig.out.inspect.document import inspection_document


def test_unknown_files_states_and_clients() -> None:
    image = LuoImage()
    page, block, client = image.blob(b"?"), image.blob(b"?", 2), image.blob(b"?")
    image.file("vfio-pci-v1", page, 0x11)
    image.file("no-memory-v1", 7, 0x12)
    image.flb("cpu_flb_v1", block + 64, 3)
    image.flb("pci-v3", page)
    image.client("surprise", client, 24)
    snapshot = image.finish().snapshot()
    (text,) = violated(image).pop("KHR-I070")
    assert list(violated(image)) == ["KHR-I070"] and text.startswith("5 of ")
    expected = [
        f"LUO:   token 0x11: vfio-pci-v1, unknown, at most 4096 bytes at {page:#x}",
        "LUO:   token 0x12: no-memory-v1, unknown, data 0x7, not preserved memory",
        "LUO: shared state 'cpu_flb_v1' of 3 files, unknown, "
        f"at most {(4 << 12) - 64} bytes at {block + 64:#x}",
        f"LUO: shared state 'pci-v3' of 1 files, unknown, at most 4096 bytes at {page:#x}",
        f"surprise: unknown client: 24 bytes at {client:#x}",
    ]
    assert not Counter(expected) - Counter(client_lines(snapshot))
    luo = json.loads(json.dumps(inspection_document(snapshot, True)))["clients"]["LUO"]
    assert luo["sessions"]["vm"][0]["data"] == hex(page)
    shared = {"name": "cpu_flb_v1", "files": 3, "data": hex(block + 64), "state": None}
    assert luo["shared"][0] == shared


def test_a_state_that_is_there_twice_is_read_once() -> None:
    image = LuoImage()
    page = image.blob(b"")
    image.flb("pci-v2", page)
    image.flb("pci-v2", page)
    assert [name for name, _ in image.finish().snapshot().decoded] == ["pci-v2"]
