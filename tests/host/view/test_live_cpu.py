# SPDX-License-Identifier: BSD-3-Clause
"""A CPU that runs on, as its description and its page tables have it, right and damaged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view.handover_image import PAGE, RAM
from view.live_cpu_image import ARM_WRITE, X86_TABLE, X86_WRITE, LiveImage

from khorig.kho.clients.khorig import decode_clients
from khorig.kho.clients.live_cpu import LIVE_CPU_SIZE, LiveCpu, read_iterations
from khorig.kho.handover import decode_handover
from khorig.kho.layout import GEOMETRY_4K
from khorig.kho.ownership import LIVE_OWNERS
from khorig.rules.check import check
from khorig.rules.outcome import Status


def failures(image: LiveImage) -> dict[str, list[str]]:
    """The violations of each rule that failed."""
    outcomes = check(image.snapshot())
    return {
        o.rule.id: [v.text for v in o.violations]
        for o in outcomes
        if o.status is Status.FAILED and o.rule.id in ("KHR-I069", "KHR-I074", "KHR-I075")
    }


def decoded(image: LiveImage, size: int = LIVE_CPU_SIZE) -> tuple[LiveCpu | None, list[str]]:
    handover = decode_handover(image.memory, image.linked(size), GEOMETRY_4K)
    clients = decode_clients(image.memory, handover)
    return clients.live_cpu, [f"{p.subject}/{p.id}: {p.text}" for p in clients.problems]


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_right(arch: str) -> None:
    image = LiveImage(arch)
    assert failures(image) == {}
    live, problems = decoded(LiveImage(arch))
    assert not problems and live
    assert (live.hardware_id, live.iterations, len(live.tables)) == (1, 50, len(image.tables))
    assert [page.physical for page in live.written] == [image.stack, image.counter]
    assert read_iterations(image.memory, live) == 77


def test_owners() -> None:
    image = LiveImage()
    owners = image.snapshot().owners
    assert owners.name(image.text // PAGE) == "khorig/live-cpu/text"
    assert owners.name(image.tables[3] // PAGE) == "khorig/live-cpu/table 3"
    written = owners.pages_of(*LIVE_OWNERS).tolist()
    assert written == [image.stack // PAGE, image.counter // PAGE]


@pytest.mark.parametrize(
    ("word", "value", "text"),
    [
        (0, 1, "magic 0x0000000000000001"),
        (3, 0, "0 page tables, expected 1 to 5"),
        (3, 6, "6 page tables, expected 1 to 5"),
        (4, RAM.end, "table 0 at 0x0000000044000000 is outside RAM"),
        (4, RAM.begin + 8, "is no page"),
        (11, 0, "stack at 0x0000000000000000 is outside RAM"),
        (12, 8, "virtual address 0x0000000000000008"),
    ],
)
def test_damaged_description(word: int, value: int, text: str) -> None:
    image = LiveImage()
    image.write_u64(image.blob + 8 * word, value)
    live, problems = decoded(image)
    assert live is None
    assert len(problems) == 1 and problems[0].startswith("live-cpu/live-cpu: "), problems
    assert text in problems[0]


def test_a_page_has_one_use() -> None:
    image = LiveImage()
    image.stack = image.counter
    image.ram.write(image.blob, image.description())
    live, problems = decoded(image)
    assert live is None and "are both at" in problems[0]


def test_another_size() -> None:
    live, problems = decoded(LiveImage(), size=LIVE_CPU_SIZE - 8)
    assert live is None and "expected 136" in problems[0]


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=LIVE_CPU_SIZE, max_size=LIVE_CPU_SIZE), st.booleans())
def test_any_bytes(raw: bytes, keep_head: bool) -> None:
    """Whatever lies there, and behind a right head, ends in a named problem or a description."""
    image = LiveImage()
    image.ram.write(image.blob, image.description()[:32] + raw[32:] if keep_head else raw)
    live, problems = decoded(image)
    assert (live is None) == bool(problems)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 511), st.integers(0, (1 << 64) - 1)), max_size=80))
def test_any_tables(entries: list[tuple[int, int]]) -> None:
    for arch in ("x86_64", "arm64"):
        image = LiveImage(arch)
        for number, (slot, value) in enumerate(entries):
            image.write_u64(image.tables[number % len(image.tables)] + 8 * slot, value)
        failures(image)


def test_a_table_that_leads_to_itself() -> None:
    image = LiveImage()
    root = image.tables[0]
    for slot in range(512):
        image.write_u64(root + 8 * slot, root | X86_TABLE)
    assert "none of its own" not in failures(image)["KHR-I075"][0]


def test_a_page_that_is_not_preserved() -> None:
    image = LiveImage()
    image.blocks.remove((image.stack, 0))
    assert failures(image) == {
        "KHR-I074": ["CPU 0x1, which runs on: page of khorig/live-cpu/stack is not preserved"]
    }


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_a_page_of_somebody_else_is_mapped(arch: str) -> None:
    image = LiveImage(arch)
    other = image.preserved_page()
    bits = X86_WRITE if arch == "x86_64" else ARM_WRITE
    image.write_u64(image.entry(image.text + 8 * PAGE, 0), other | bits)
    (text,) = failures(image)["KHR-I075"]
    assert text.startswith("CPU 0x1, which runs on: 0x")
    assert text.endswith(f"maps {other:#018x} (0x1000 bytes, rw-), no page of its own")


@pytest.mark.parametrize(
    ("arch", "page", "bits", "rights"),
    [
        ("x86_64", 0, 0x63, "rwx"),
        ("x86_64", 3, X86_WRITE, "rw-"),
        ("x86_64", 1, 0x63, "rwx"),
        ("arm64", 0, 1 << 54 | 0x707, "rwx"),
        ("arm64", 3, ARM_WRITE, "rw-"),
        ("arm64", 2, 1 << 54 | 0x707, "rwx"),
    ],
)
def test_other_rights(arch: str, page: int, bits: int, rights: str) -> None:
    image = LiveImage(arch)
    physical = (image.text, image.stack, image.counter, image.mailbox)[page]
    image.write_u64(image.entry(image.virtual[page], 0), physical | bits)
    texts = failures(image)["KHR-I075"]
    assert rights in texts[0] and "is not mapped" in texts[1]


def test_rights_of_el2() -> None:
    """Bit 54 forbids execution there, and bit 6 is set in every entry."""
    image = LiveImage("arm64")
    rights = (0x7C7, 1 << 54 | 0x747, 1 << 54 | 0x747, 1 << 54 | 0x7C7)
    pages = (image.text, image.stack, image.counter, image.mailbox)
    for virtual, physical, bits in zip(image.virtual, pages, rights):
        image.write_u64(image.entry(virtual, 0), physical | bits)
    assert failures(image) == {}
    image.write_u64(image.entry(image.virtual[1], 0), image.stack | 0x747)
    assert "rwx" in failures(image)["KHR-I075"][0]


def test_a_block_is_more_than_a_page() -> None:
    image = LiveImage()
    image.write_u64(image.entry(image.text, 1), image.window | 0xE3)
    assert "(0x200000 bytes, rwx)" in failures(image)["KHR-I075"][0]


def test_a_table_of_somebody_else() -> None:
    image = LiveImage()
    other = image.preserved_page(image.ram.read(image.tables[3], PAGE))
    image.write_u64(image.entry(image.text, 1), other | X86_TABLE)
    assert f"table at {other:#018x} is none of its own" in failures(image)["KHR-I075"][0]


def test_a_table_outside_ram() -> None:
    image = LiveImage()
    image.write_u64(image.entry(image.text, 1), RAM.end | X86_TABLE)
    assert any("44000000" in text for text in failures(image)["KHR-I075"])


def test_text_is_where_the_description_says() -> None:
    live, _ = decoded(LiveImage())
    assert live is not None
    assert replace(live, iterations=0).page("text").executable
