# SPDX-License-Identifier: BSD-3-Clause
"""Whose pages may change in which part of a run, for every owner that there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from dumps.sample import ImageMemory, Sample
from view.handover_image import typical_image

from khorig.kho.snapshot import Snapshot, find_snapshot
from khorig.mem.formats import Dump
from khorig.rules.temporal.keeping import Span, pages_that_stay

KHORIG = {"root", "fragment", "kexec-metadata", "khorig/log", "khorig/stores/db0"}
CHUNK = {"khorig/stores/db0 chunk"}
RESERVED = {"memblock/mem0"}
ON_THE_WAY_DOWN = {"LUO", "LUO sessions", "LUO shared state", "LUO/vm files", "LUO/vm/0x21"}
MEMFD = {"LUO/vm/0x21 chunk", "LUO/vm/0x21 array"}
HELD = {"LUO/vm/0x21 folio"}
TEST = {"kho_test chunk", "kho_test array", "kho_test folio"}
NOBODY = {"nobody"}
EVERYTHING = KHORIG | CHUNK | RESERVED | ON_THE_WAY_DOWN | MEMFD | HELD | TEST | NOBODY


def owners_that_stay(snapshot: Snapshot, span: Span) -> set[str]:
    """The owners all of whose pages stay; of the others none may."""
    owners, stay = snapshot.owners, set(pages_that_stay(snapshot, span).tolist())
    by_owner: dict[str, set[int]] = {}
    for frame in owners.frames.tolist():
        by_owner.setdefault(owners.owner(frame), set()).add(frame)
    assert stay <= set(owners.frames.tolist())
    assert all(pages <= stay or not pages & stay for pages in by_owner.values())
    return {name for name, pages in by_owner.items() if pages <= stay}


def everyone(kind: bytes = b"memfd-v2") -> Snapshot:
    """A handover with every client, and a block that nobody names."""
    s = Sample()
    s.image.ram.write(s.files + 16, kind.ljust(48, b"\0"))
    s.image.preserved_block(2)
    return s.finish().snapshot()


@pytest.mark.parametrize(
    "span, stay",
    [
        (Span.JUMP, EVERYTHING),
        (Span.LINUX_JUMP, EVERYTHING - ON_THE_WAY_DOWN),
        (Span.LINUX_BOOT, KHORIG | CHUNK | RESERVED | HELD | NOBODY),
        (Span.GENERATION, RESERVED),
    ],
)
def test_whose_pages_stay(span: Span, stay: set[str]) -> None:
    assert owners_that_stay(everyone(), span) == stay


@pytest.mark.parametrize(
    "span, stays", [(Span.JUMP, True), (Span.LINUX_JUMP, False), (Span.LINUX_BOOT, False)]
)
def test_what_nobody_names_may_belong_to_a_file_of_a_kind_that_is_not_known(
    span: Span, stays: bool
) -> None:
    assert ("nobody" in owners_that_stay(everyone(b"vfio-v1"), span)) is stays


def test_the_archive_stays_from_generation_to_generation() -> None:
    image = typical_image()
    image.finish()
    snapshot = find_snapshot(Dump(Path("x"), "test", ImageMemory(image), page_shift=12))
    assert owners_that_stay(snapshot, Span.GENERATION) == {"khorig/archive", "memblock/mem0"}


def test_before_all_is_serialized_pages_of_nobody_may_get_an_owner() -> None:
    snapshot = everyone()
    for span, stays in ((Span.JUMP, True), (Span.LINUX_JUMP, False), (Span.LINUX_BOOT, False)):
        kept = set(pages_that_stay(snapshot, span, is_complete=False).tolist())
        begins, ends = snapshot.owners.unowned
        assert (set(range(int(begins[0]), int(ends[0]))) <= kept) is stays
        assert bool(kept & set(range(int(begins[0]), int(ends[0])))) is stays
