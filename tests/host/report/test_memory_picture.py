# SPDX-License-Identifier: BSD-3-Clause
"""What the journal keeps of memory is what memory was used for."""

from __future__ import annotations

import json
from typing import Any

from verdict.fake_guest import TABLE, FakeGuest, block_of, sealed_guest
from view.handover_image import PAGE, RAM, SCRATCH

_FIRST = RAM.begin // PAGE


def _picture(guest: FakeGuest) -> dict[str, Any]:
    guest.first_generation()
    assert guest.judge.picture is not None
    picture: dict[str, Any] = json.loads(json.dumps(guest.judge.picture))
    return picture


def _pages(runs: list[int]) -> set[int]:
    return {
        page for at in range(0, len(runs), 2) for page in range(runs[at], sum(runs[at : at + 2]))
    }


def test_every_preserved_page_is_in_the_runs_of_its_owner() -> None:
    guest = sealed_guest()
    picture = _picture(guest)
    expected = {at // PAGE + page for at, order in guest.image.blocks for page in range(1 << order)}
    assert picture["grain"] == 1
    drawn = [_pages(owner["runs"]) for owner in picture["owners"]]
    assert set.union(*drawn) == expected
    assert sum(map(len, drawn)) == len(expected)
    assert [owner["pages"] for owner in picture["owners"]] == [len(pages) for pages in drawn]
    names = {owner["name"] for owner in picture["owners"]}
    assert {"khorig/archive", "khorig/log", "khorig/stores/db0", "memblock/mem0"} <= names
    assert not any(name.endswith("chunk") for name in names), "they belong to their store"


def test_the_rest_of_memory_is_told_apart() -> None:
    guest = sealed_guest()
    guest.write_frames([*guest.image.allocated, (RAM.begin + 0x3000000, 2)])
    picture = _picture(guest)
    assert picture["ram"] == [[_FIRST, RAM.size // PAGE]]
    assert picture["scratch"] == [[area.begin, area.size] for area in SCRATCH]
    assert picture["segments"] == [["kernel", SCRATCH[0].begin, 0x10000]]
    assert _pages(picture["nodes"]["runs"]) == {node // PAGE for node in guest.image.nodes}
    assert picture["used"] == {"pages": 4, "runs": [_FIRST + 0x3000, 4]}
    assert picture["root"] == guest.image.root
    paths = [fragment[0] for fragment in picture["fragments"]]
    assert paths[0] == "" and "/khorig/stores/more" in paths
    assert picture["fragment_count"] == len(paths)
    assert "/khorig/archive" in [blob[0] for blob in picture["blobs"]]


def test_around_a_finding_every_page_has_a_name() -> None:
    guest = sealed_guest()
    block = block_of(guest, 4)
    guest.segments.append(["parameters", hex(block), hex(PAGE)])
    (near,) = _picture(guest)["near"]
    assert near["page"] == block // PAGE
    assert sum(count for _, count in near["runs"]) == 65
    at, names = near["first"], {}
    for name, count in near["runs"]:
        names.update(dict.fromkeys(range(at, at + count), name))
        at += count
    assert names[near["page"]] == "memblock/mem0"
    assert names[near["page"] + 15] == "memblock/mem0"
    assert names[guest.image.nodes[0] // PAGE] == "radix node"


def test_a_later_stop_says_only_what_is_wrong() -> None:
    guest = sealed_guest()
    assert guest.first_generation() == []
    guest.boots(2)
    guest.image.ram.write(guest.image.nodes[-1], b"\xff")
    assert guest.stops("entry", 2)
    picture = guest.judge.picture
    assert picture is not None and set(picture) == {"page_size", "near"}
    near = picture["near"][0]
    assert near["page"] == guest.image.nodes[-1] // PAGE
    assert ["radix node", len(guest.image.nodes)] in near["runs"]


def test_a_stop_with_nothing_new_has_no_picture() -> None:
    guest = sealed_guest()
    assert guest.first_generation() == []
    assert guest.enters() == []
    assert guest.judge.picture is None


def test_what_cannot_be_read_still_gives_a_picture() -> None:
    guest = sealed_guest()
    guest.image.ram.write(guest.image.root, b"\0\0\0\0")
    guest.image.ram.write(TABLE, bytes(PAGE))
    picture = _picture(guest)
    assert picture["owners"] == [] and "root" not in picture
    assert picture["scratch"] and picture["segments"]


def test_many_owners_become_few() -> None:
    guest = FakeGuest()
    for number in range(36):
        guest.image.clients[f"a{number}"] = guest.image.link(guest.image.preserved_page(), 16)
    guest.seal()
    picture = _picture(guest)
    names = [owner["name"] for owner in picture["owners"]]
    assert len(names) == 41 and names[-1] == "others" and len(set(names)) == len(names)
    assert sum(owner["pages"] for owner in picture["owners"]) == sum(
        1 << order for _, order in guest.image.blocks
    )
