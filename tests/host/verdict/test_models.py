# SPDX-License-Identifier: BSD-3-Clause
"""What scenarios do with their regions and trees, step by step, and hashes of all of memory."""

from __future__ import annotations

import numpy as np
import pytest
from verdict.test_scenarios import SEED, check_tree, tree_image
from view.handover_image import MIB, PAGE, RAM, HandoverImage

from khorig.kho.layout import GEOMETRY_4K
from khorig.mem.memory import PhysRange
from khorig.rules.protocol.scenarios import recursion
from khorig.rules.protocol.scenarios.random_stream import RandomStream
from khorig.rules.protocol.scenarios.region_model import toggle_block
from khorig.rules.protocol.scenarios.storm import expected_storm
from khorig.rules.temporal.page_hashes import hash_all, hash_pages


@pytest.mark.parametrize(
    "steps, pages",
    [
        ([(0, 1)], "2f..-...."),
        ([(0, 1), (0, 1)], "....-...."),  # given back
        ([(0, 1), (0, 0)], "2f..-...."),  # another block is there
        ([(0, 1), (1, 0)], "2f..-...."),
        ([(2, 0), (0, 2)], "..1.-...."),  # one begins behind
        ([(3, 0), (0, 2)], "...1-...."),
        ([(0, 0), (0, 2)], "1...-...."),
        ([(0, 2), (4, 2), (0, 2)], "....-3fff"),
        ([(0, 2), (0, 3)], "3fff-...."),
        ([(4, 1), (6, 1), (4, 1), (4, 0)], "....-1.2f"),
    ],
)
def test_a_step_in_a_region(steps: list[tuple[int, int]], pages: str) -> None:
    region = bytearray(8)
    for at, order in steps:
        toggle_block(region, at, order)
    names = {0: ".", 0xFF: "f"}
    drawn = "".join(names.get(byte, str(byte)) for byte in region)
    assert f"{drawn[:4]}-{drawn[4:]}" == pages


def replayed(
    seed: int, generation: int, cpus: int, steps: int
) -> tuple[bytes, list[dict[int, int]]]:
    """The storm by docs/scenarios.md, one number at a time."""
    region, slots = bytearray(1024), []
    for cpu in range(cpus):
        stream = RandomStream("storm", seed + 64 * generation + cpu)
        mine = range(cpu, 128, cpus)
        last: dict[int, int] = {}
        for _ in range(steps):
            if stream.next() % 16 == 0:
                slot, version = stream.next() % 8, stream.next()
                last[slot] = version
                continue
            order = stream.next() % 4
            group = mine[stream.next() % len(mine)]
            toggle_block(region, 8 * group + (stream.next() % (8 >> order) << order), order)
        slots.append(last)
    return bytes(region), slots


@pytest.mark.parametrize("cpus", [1, 3, 4, 7])
def test_the_storm_is_that_of_the_document(cpus: int) -> None:
    """Also with numbers of CPUs that do not divide the region, and several versions of a slot."""
    storm = expected_storm(11, 2, cpus, 600)
    region, slots = replayed(11, 2, cpus, 600)
    assert storm.pages.tobytes() == region
    assert list(storm.versions) == slots


def test_a_tree_is_no_deeper_than_the_guest_makes_it() -> None:
    depths = set()
    for seed in range(4):
        tree = recursion.expected_tree(seed, 4000)
        depths.add(max(path.count("/") - 1 for path in tree.paths))
        assert max(map(len, tree.children)) == 8
    assert max(depths) == 24


def test_one_byte_of_a_payload() -> None:
    payload = bytearray(recursion.expected_payload(SEED, 7))
    payload[-1] ^= 1
    image, addresses = tree_image(payload=bytes(payload))
    (finding,) = check_tree(image)
    assert finding.where == f"{addresses[7]:#018x}" and "payload" in finding.what


def test_hashes_of_all_memory_are_those_of_every_page() -> None:
    """Of several areas, of more than one piece, up to the last page, and of pages of zeros."""
    areas = (PhysRange(RAM.begin, MIB), PhysRange(RAM.begin + 4 * MIB, MIB + PAGE))
    image = HandoverImage(ram=areas, scratch=())
    for number, area in enumerate(areas):
        for page in (0, 1, 63, 64, 65, 128, 200, area.size // PAGE - 1):
            image.ram.write(area.begin + page * PAGE + 8 * number, bytes([page % 251, 7]))
    frames = np.concatenate([np.arange(a.begin >> 12, a.end >> 12, dtype=np.int64) for a in areas])
    found, expected = hash_all(image.memory, GEOMETRY_4K).of(frames), hash_pages(
        image.memory, frames, GEOMETRY_4K
    )
    assert not len(expected.differing(found))
    assert len(hash_all(image.memory, GEOMETRY_4K).pages.frames) == 16
