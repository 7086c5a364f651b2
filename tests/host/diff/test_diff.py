# SPDX-License-Identifier: BSD-3-Clause
"""What is different between two dumps, whose it is, and whether it may be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from diff.images import FREE_PAGE, KERNEL_PAGE, SCRATCH_PAGE, keep, sealed
from verdict.fake_guest import FakeGuest, block_of
from view.handover_image import PAGE, RAM

from khorig.mem.byte_runs import hexdump
from khorig.mem.formats import open_dump
from khorig.out.diff_document import difference_document
from khorig.out.diff_text import difference_lines
from khorig.rules.difference import CannotCompare, Difference, compare_dumps
from khorig.rules.page_classes import PageClass


class _Pair:
    """A sealed guest, and what became of it."""

    def __init__(self, folder: Path) -> None:
        self.guest: FakeGuest = sealed()
        self.folder = folder
        self.a = keep(self.guest.image, folder / "a.ram")

    def changed(self, address: int, data: bytes = b"changed") -> None:
        self.guest.image.ram.write(address, data)

    def compare(self, at: str = "entry", **changes: Any) -> Difference:
        """Keeps the guest as the second dump and compares."""
        b = keep(self.guest.image, self.folder / "b.ram", generation=2, at=at, **changes)
        return compare_dumps(open_dump(self.a), open_dump(b))


@pytest.fixture
def pair(tmp_path: Path) -> _Pair:
    return _Pair(tmp_path)


def _changed(difference: Difference) -> dict[str, int]:
    return {c.kind.value: len(c.frames) for c in difference.changes if len(c.frames)}


def _text(difference: Difference, runs: int = 6) -> str:
    return "\n".join(difference_lines(difference, runs))


def test_the_same_is_the_same(pair: _Pair) -> None:
    difference = pair.compare()
    assert difference.same and len(difference.lost) == 0
    assert _text(difference).startswith("identical")


def test_a_byte_of_a_preserved_page_is_lost(pair: _Pair) -> None:
    block = block_of(pair.guest, 4)
    pair.changed(block + 3 * PAGE + 100, b"\xaa\xbb")
    difference = pair.compare()
    assert difference.lost.tolist() == [block // PAGE + 3]
    text = _text(difference)
    assert text.startswith("LOST  KHR-I080: 1 page changed that must not")
    assert "1  memblock/mem0" in text
    assert f"{block + 3 * PAGE + 100:#018x}  2 bytes  memblock/mem0 page 3" in text
    assert "aa bb .. .." in text


@pytest.mark.parametrize("at, must_stay", [("entry", True), ("restored", False)])
def test_the_tree_may_go_once_it_is_taken_back(pair: _Pair, at: str, must_stay: bool) -> None:
    pair.changed(pair.guest.image.nodes[-1] + 8)
    difference = pair.compare(at)
    assert _changed(difference) == {"tracker": 1}
    assert len(difference.lost) == (1 if must_stay else 0)
    if must_stay:
        assert "radix node of level 0" in _text(difference)


@pytest.mark.parametrize(
    "address, kind", [(SCRATCH_PAGE, "scratch"), (FREE_PAGE, "free"), (KERNEL_PAGE, "kernel")]
)
def test_what_is_not_handed_over_may_change(pair: _Pair, address: int, kind: str) -> None:
    pair.changed(address)
    difference = pair.compare()
    assert _changed(difference) == {kind: 1}
    assert not difference.same and len(difference.lost) == 0
    assert _text(difference).startswith("different, all changes allowed")


def test_without_the_allocators_table_the_rest_is_unknown(pair: _Pair, tmp_path: Path) -> None:
    keep(pair.guest.image, pair.a, frames=None)
    pair.changed(FREE_PAGE)
    assert _changed(pair.compare()) == {"unknown": 1}


def test_another_handover_may_have_other_content(pair: _Pair) -> None:
    pair.changed(block_of(pair.guest, 4))
    difference = pair.compare("sealed", root="0x40001000")
    assert difference.other_root == 0x4000_1000
    assert _changed(difference) == {"preserved": 1} and len(difference.lost) == 0
    assert "another at 0x40001000 in b" in _text(difference)


def test_a_root_that_was_written_on_is_no_other_handover(pair: _Pair) -> None:
    """Nobody says where the second dump's root is, and the page of the first is damaged."""
    pair.changed(pair.guest.image.root + 200)
    difference = pair.compare(root=None)
    assert difference.other_root is None
    assert pair.guest.image.root // PAGE in difference.lost.tolist()


def test_classes_come_from_the_dump_that_has_a_handover(pair: _Pair) -> None:
    guest = pair.guest
    b = keep(guest.image, pair.folder / "b.ram")
    pair.changed(guest.image.root, bytes(PAGE))
    pair.changed(guest.image.nodes[0], bytes(PAGE))
    keep(guest.image, pair.a, root=None, at="entry")
    difference = compare_dumps(open_dump(pair.a), open_dump(b))
    assert difference.by == "b" and _changed(difference) == {"preserved": 1, "tracker": 1}
    assert len(difference.lost) == 0  # there was nothing to lose
    assert "none in a" in _text(difference)


def test_without_any_handover_it_is_still_a_comparison(tmp_path: Path) -> None:
    for name, content in (("a", bytes(1 << 20)), ("b", bytes(PAGE) + b"x" * PAGE)):
        (tmp_path / f"{name}.ram").write_bytes(content)
    difference = compare_dumps(open_dump(tmp_path / "a.ram"), open_dump(tmp_path / "b.ram"))
    assert difference.by == "" and _changed(difference) == {"unknown": 1}
    text = _text(difference)
    assert "no handover in either" in text and "4096 bytes  all 0x78 in b" in text
    assert "only in a  1016 KiB" in text


def test_preserved_pages_that_a_dump_lacks_are_not_passed_over(pair: _Pair) -> None:
    half = RAM.size // 2
    b = keep(pair.guest.image, pair.folder / "b.ram")
    end = max(at + (PAGE << order) for at, order in pair.guest.image.blocks)
    short = end - PAGE - RAM.begin
    b.write_bytes(b.read_bytes()[:short])
    description = json.loads(b.with_suffix(".json").read_text())
    description.update(size=short, ram_map=[[hex(RAM.begin), hex(short), "0x0"]], frames=None)
    b.with_suffix(".json").write_text(json.dumps(description))
    difference = compare_dumps(open_dump(pair.a), open_dump(b))
    assert short < half and len(difference.missing) >= 1
    assert "cannot be compared" in _text(difference).splitlines()[0]
    assert not difference.only([PageClass.PRESERVED]).same
    assert difference.only([PageClass.FREE]).same


def test_other_machines_cannot_be_compared(pair: _Pair) -> None:
    with pytest.raises(CannotCompare, match="x86_64"):
        pair.compare(arch="arm64", machine="virt")
    with pytest.raises(CannotCompare, match="no memory in common"):
        pair.compare(ram_map=[["0x0", hex(1 << 20), "0x0"]], frames=None)


def test_runs_of_bytes(pair: _Pair) -> None:
    block = block_of(pair.guest, 4)
    before = pair.guest.image.ram.read(block, 2 * PAGE)
    flip = bytes(byte ^ 0xFF for byte in before)
    pair.changed(block + 16, flip[16:20])
    pair.changed(block + 28, flip[28:29])  # 8 equal bytes: the same run
    pair.changed(block + 38, flip[38:39])  # 9 equal bytes: another
    pair.changed(block + PAGE - 4, flip[PAGE - 4 : PAGE + 4])  # over the end of a page
    difference = pair.compare()
    found = [
        (r.area.begin - block, r.area.size, r.changed) for r in difference.runs(difference.lost)
    ]
    assert found == [(16, 13, 5), (38, 1, 1), (PAGE - 4, 8, 8)]
    run = difference.runs(difference.lost)[0]
    lines = hexdump(difference.a.memory, difference.b.memory, run, 4)
    assert len(lines) == 2 and lines[0].startswith(f"{block + 16:#018x}  a  {before[16]:02x}")
    assert lines[1].split("  b  ")[1].startswith(f"{flip[16]:02x} ")
    assert lines[1].count("..") >= 11


def test_scripts_get_json(pair: _Pair) -> None:
    block = block_of(pair.guest, 4)
    pair.changed(block)
    pair.changed(SCRATCH_PAGE)
    document = json.loads(json.dumps(difference_document(pair.compare(), 5)))
    assert document["same"] is False and document["lost"] == 1
    assert document["classes"]["preserved"] == {
        "pages": sum(1 << order for _, order in pair.guest.image.blocks),
        "changed": 1,
        "must_stay": True,
        "rule": "KHR-I080",
        "ranges": [[hex(block), hex(PAGE)]],
    }
    assert document["classes"]["scratch"]["changed"] == 1
    assert document["runs"][0]["owner"] == "memblock/mem0 page 0"


def test_the_command(pair: _Pair, tmp_path: Path) -> None:
    def diff(*words: object) -> int:
        command = [sys.executable, "-m", "khorig", "diff", *map(str, words)]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode

    pair.changed(SCRATCH_PAGE)
    b = keep(pair.guest.image, tmp_path / "b.ram", generation=2, at="entry")
    assert diff(pair.a, pair.a) == 0
    assert diff(pair.a, b) == 1
    assert diff("--only", "preserved,tracker", pair.a, b) == 0
    (tmp_path / "empty").write_bytes(b"")
    assert diff(pair.a, tmp_path / "empty") == 2
    assert diff(pair.a, tmp_path / "nowhere") == 2
    keep(pair.guest.image, tmp_path / "c.ram", arch="arm64", machine="virt")
    assert diff(pair.a, tmp_path / "c.ram") == 2


def test_what_a_script_fails_on_is_its_choice(pair: _Pair, tmp_path: Path) -> None:
    def diff(*words: object) -> tuple[int, str]:
        command = [sys.executable, "-m", "khorig", "diff", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout

    pair.changed(SCRATCH_PAGE)
    b = keep(pair.guest.image, tmp_path / "b.ram", generation=2, at="entry")
    assert diff("--fail-on", "any", pair.a, b)[0] == 1
    assert diff("--fail-on", "lost", pair.a, b)[0] == 0
    pair.changed(block_of(pair.guest, 4))
    c = keep(pair.guest.image, tmp_path / "c.ram", generation=2, at="entry")
    status, out = diff("--fail-on", "lost", "--json", pair.a, c)
    document = json.loads(out)
    assert (status, document["schema"], document["lost"]) == (1, 1, 1)
    d = keep(pair.guest.image, tmp_path / "d.ram", arch="arm64", machine="virt")
    status, out = diff("--json", pair.a, d)
    assert status == json.loads(out)["status"] == 2
