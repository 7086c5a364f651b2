# SPDX-License-Identifier: BSD-3-Clause
"""`khorig inspect --page`: whose a page is, what it holds, and what it should hold."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest
from dumps.dump_files import write_described, write_packed
from dumps.sample import FRAME_TABLE, Sample
from view.handover_image import PAGE, RAM, SCRATCH

from khorig.cli.main import main
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.spec_json import spec_to_json
from khorig.kho.content import rig_content
from khorig.out.inspect.beside import stop_before
from khorig.out.inspect.page import page_lines
from khorig.rules.page_view import NoPage, PageView, view_page

_SEED = 0x5EED0001
_U64 = (1 << 64) - 1

Verb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verb(capsys: pytest.CaptureFixture[str]) -> Verb:
    """Runs the command line: status, what it prints, and to stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(str(end.value.code)), out, err

    return run


def _write(folder: Path, sample: Sample, generation: int, at: str) -> Path:
    path = folder / f"gen{generation}.{at}.ram"
    table = {"table": hex(FRAME_TABLE), "first": RAM.begin >> 12, "count": RAM.size >> 12}
    facts = {
        "arch": "x86_64", "machine": "q35", "generation": generation, "at": at,
        "root": hex(sample.image.root), "frames": table,
    }  # fmt: skip
    write_described(path, sample.image.ram, facts)
    return path


def _view(sample: Sample, address: int, seed: int | None = None) -> PageView:
    dump = sample.dump()
    return view_page(dump, sample.snapshot(), address, seed)


def _lines(sample: Sample, address: int, seed: int | None = None) -> list[str]:
    dump, snapshot = sample.dump(), sample.snapshot()
    return list(page_lines(view_page(dump, snapshot, address, seed), snapshot, seed, ()))


def _text(sample: Sample, address: int) -> str:
    return "\n".join(_lines(sample, address))


def test_a_preserved_page_has_owner_block_and_place() -> None:
    sample = Sample().finish()
    page = sample.reserved_area + 5 * PAGE
    view = _view(sample, page + 0x123)
    assert (view.address, view.size, view.kind.value) == (page, PAGE, "preserved")
    assert view.owner == "memblock/mem0 page 5"
    assert view.block == (sample.reserved_area, 4, 5)
    text = _text(sample, page + 0x123)
    assert f"{page + 0x123:#018x} is byte 0x123 of it" in text
    assert f"page 5 of the preserved block {sample.reserved_area:#018x} of order 4" in text
    assert "reserved memory 'mem0', from 0x5000 of 0x10000 bytes" in text
    assert "to khorig's allocator: allocated tail" in text


@pytest.mark.parametrize(
    "place, meaning",
    [
        (lambda s: s.image.root, "root of a handover"),
        (lambda s: s.snapshot().handover.tree.root, "node of the tracker, level 5, prefix 0x0"),
        (lambda s: s.memblock, 'compatible = "memblock-v1";'),
        (lambda s: int.from_bytes(s.store[:8], "little"), "chunk 0 of 1 of store 'db0': 3 entries"),
        (lambda s: s.stored[1], "bytes from 0x1000 of store 'db0'"),
        (lambda s: s.sessions, "list of 1 sessions of LUO: 'vm' with 1 files"),
        (lambda s: s.files, "file 0x21 of session 'vm': memfd-v2"),
        (lambda s: s.memfd, "memfd 0x21 of session 'vm': 20480 bytes in 2 folios, position 0x7"),
        (lambda s: s.folios[0][0] + PAGE, "memfd 0x21 of session 'vm': bytes from 0x1000"),
        (lambda s: s.folios[1][0], "memfd 0x21 of session 'vm': bytes from 0x4000"),
        (lambda s: s.flb, "shared state 'shared' of 1 files, data 0x0000000000000001"),
        (lambda s: s.test_array, "bytes from 0x0 of the array of kho_test"),
        (lambda s: s.log, "ring of the log"),
        (lambda s: SCRATCH[0].begin + PAGE, f"in scratch {SCRATCH[0]}"),
    ],
)  # fmt: skip
def test_what_the_page_means_is_decoded(place: Any, meaning: str) -> None:
    sample = Sample().finish()
    assert meaning in _text(sample, place(sample))


def test_a_leaf_of_the_tracker_lists_its_blocks() -> None:
    sample = Sample().finish()
    snapshot = sample.snapshot()
    leaves = [node for node in snapshot.handover.tree.nodes if node.level == 0]
    text = "\n".join(_text(sample, leaf.address) for leaf in leaves)
    assert f"{sample.reserved_area:#018x} order 4" in text
    bits = sum(int(count) for count in re.findall(r"(\d+) bits set", text))
    assert bits == len(snapshot.handover.blocks)


def test_a_violated_rule_is_named_at_its_page() -> None:
    sample = Sample().finish()
    sample.image.ram.write(sample.luo, b"luo-v6")
    text = _text(sample, sample.luo)
    assert "FAILED KHR-I050 " in text and "version 'luo-v6'" in text
    assert "KHR-I050" not in _text(sample, sample.memblock)


@pytest.mark.parametrize(
    "address, why",
    [
        (-1, "-0x1 is no physical address"),
        (1 << 64, "0x10000000000000000 is no physical address"),
        (1 << 63, "0x8000000000000000 is not in RAM; the nearest RAM is "),
        (RAM.begin - 1, "is not in RAM; the nearest RAM is [0x0000000000000000, "),
        (RAM.end, f"is not in RAM; the nearest RAM is {RAM}"),
    ],
)
def test_an_address_without_a_page_is_named(address: int, why: str) -> None:
    with pytest.raises(NoPage) as error:
        _view(Sample().finish(), address)
    assert why in str(error.value)


@pytest.mark.parametrize("shift", [14, 16])
def test_larger_pages(shift: int, tmp_path: Path) -> None:
    """Without a handover the dump's word on the size counts."""
    dump = replace(Sample().finish().dump(), page_shift=shift)
    view = view_page(dump, None, RAM.begin + (1 << shift) + 5)
    assert (view.address, view.size) == (RAM.begin + (1 << shift), 1 << shift)
    lines = list(page_lines(view, None, None, ()))
    assert "unknown" in "\n".join(lines) and len(lines) < 40


def test_a_page_that_the_dump_lacks_still_has_an_owner() -> None:
    sample = Sample().finish()
    sample.left_out.add(sample.reserved_area)
    text = _text(sample, sample.reserved_area)
    assert "memblock/mem0 page 0" in text and "not in this dump: 0x1000 bytes were left out" in text


def _first_word(seed: int, owner: int, index: int) -> int:
    """docs/abi.md, word for word."""
    import xxhash

    state = seed + xxhash.xxh64_intdigest("content") + (owner << 32) + index
    z = (state + 0x9E3779B97F4A7C15) & _U64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _U64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _U64
    return z ^ (z >> 31)


def test_the_rigs_pages_are_expected_by_the_formula() -> None:
    import xxhash

    sample = Sample().finish()
    frame = (sample.reserved_area >> 12) + 3
    content = rig_content(sample.snapshot(), frame, _SEED)
    owner = xxhash.xxh64_intdigest("mem0") & 0xFFFFFFFF
    assert content is not None and len(content) == PAGE
    first = _first_word(_SEED, owner, 3)
    assert int.from_bytes(content[:8], "little") == first
    assert int.from_bytes(content[8:16], "little") == first + 0x9E3779B97F4A7C15 & _U64
    for other in (sample.stored[0], sample.log, sample.memblock, sample.image.root):
        assert rig_content(sample.snapshot(), other >> 12, _SEED) is None, "words of its own"
    assert rig_content(sample.snapshot(), frame, None) is None, "nobody knows the seed"


def test_a_changed_word_is_shown_with_both_values() -> None:
    sample = Sample().finish()
    frame = sample.reserved_area >> 12
    content = rig_content(sample.snapshot(), frame, _SEED)
    assert content is not None
    changed = bytearray(content)
    changed[0x123] ^= 0x40
    sample.image.ram.write(sample.reserved_area, bytes(changed))
    text = "\n".join(_lines(sample, sample.reserved_area, _SEED))
    at = sample.reserved_area + 0x123
    word = sample.reserved_area + 0x120
    found, expected = (int.from_bytes(data[0x120:0x128], "little") for data in (changed, content))
    assert (
        f"the content formula, seed 0x5eed0001: 1 of 4096 bytes differ, the first at {at:#018x}"
        in text
    )
    assert f"{word:#018x}: found {found:#018x}, expected {expected:#018x}" in text
    dumped = [
        line for line in text.splitlines() if "  found     " in line or "  expected  " in line
    ]
    assert len(dumped) == 2 and dumped[1].count("..") >= 15


def test_a_hexdump_is_bounded_and_cannot_steer_a_terminal() -> None:
    sample = Sample().finish()
    sample.image.ram.write(sample.reserved_area, b"\x1b[2J\x9b\x07" * 600)
    lines = _lines(sample, sample.reserved_area)
    assert all(char.isprintable() for line in lines for char in line)
    assert len(lines) < 40 and lines[-1] == "... 3840 more bytes"
    sample.image.ram.write(sample.reserved_area, bytes(PAGE))
    lines = _lines(sample, sample.reserved_area)
    assert lines[-1] == "*" and "all zero" in "\n".join(lines)


def test_the_stop_before_is_found_beside_the_image(verb: Verb, tmp_path: Path) -> None:
    sample = Sample().finish()
    _write(tmp_path, sample, 1, "entry")
    _write(tmp_path, sample, 1, "sealed")
    (tmp_path / "run.json").write_text(
        json.dumps({"spec": spec_to_json(KhorigRun("x86_64", "q35", seed=_SEED))})
    )
    page = sample.reserved_area + PAGE
    before = int.from_bytes(sample.image.ram.read(page + 8, 8), "little")
    sample.image.ram.write(page + 8, bytes([before & 0xFF ^ 0xEE]))
    late = _write(tmp_path, sample, 2, "entry")
    status, out, _ = verb("inspect", late, "--page", hex(page))
    assert status == 0
    assert f"as gen1.sealed.ram: 1 of 4096 bytes differ, the first at {page + 8:#018x}" in out
    assert "the content formula, seed 0x5eed0001" in out
    status, out, _ = verb("inspect", late, "--page", hex(page), "--json")
    document: dict[str, Any] = json.loads(out)
    first = document["expected"][0]
    assert (first["source"], first["differing_bytes"]) == ("gen1.sealed.ram", 1)
    assert first["words"][0]["found"] == f"{before ^ 0xEE:#018x}"
    assert first["words"][0]["expected"] == f"{before:#018x}"
    assert (
        bytes.fromhex(document["content"])[8] == before & 0xFF ^ 0xEE
        and document["owner"] == "memblock/mem0 page 1"
    )
    status, out, _ = verb("inspect", late, "--page", hex(page), "--against", late)
    assert "as gen2.entry.ram: no byte differs" in out


def test_what_cannot_be_shown_is_a_clear_error(verb: Verb, tmp_path: Path) -> None:
    sample = Sample().finish()
    path = _write(tmp_path, sample, 1, "sealed")
    status, _, err = verb("inspect", path, "--page", "0xffffffff00000000")
    assert status == 2 and "0xffffffff00000000 is not in RAM" in err
    status, _, err = verb("inspect", path, "--page", "here")
    assert status == 2 and "'here' is not a number" in err
    status, _, err = verb("inspect", path, "--against", path)
    assert status == 2 and "--against needs --page" in err
    (tmp_path / "run.json").write_text('{"spec": {"kind": "chain", "kernels": 5}}')
    (tmp_path / "verdict.json").write_text("[" * 100)
    sample.image.ram.write(sample.image.root, bytes(PAGE))
    path = _write(tmp_path, sample, 1, "sealed")
    status, out, err = verb("inspect", path, "--page", hex(sample.log))
    assert status == 0 and "no handover can be read" in err and "use         unknown" in out


def test_a_finding_of_the_run_is_named_at_its_page(verb: Verb, tmp_path: Path) -> None:
    sample = Sample().finish()
    path = tmp_path / "gen2.entry.ram.zst"
    facts: dict[str, Any] = {"arch": "x86_64", "machine": "q35", "generation": 2, "at": "entry"}
    facts["root"] = None
    write_packed(path, sample.image.ram, facts)
    finding: dict[str, Any] = {
        "rule": "KHR-I080", "what": "page changed", "where": hex(sample.log), "owner": "x",
        "generation": 2, "stop": "entry", "verdict": "FAIL", "evidence": [],
    }  # fmt: skip
    verdict = {
        "id": "x", "verdict": "FAIL", "generations": 2, "wall_s": 1.0, "qemu": "7.2.22",
        "findings": [finding, {**finding, "where": "nowhere"}],
    }  # fmt: skip
    (tmp_path / "verdict.json").write_text(json.dumps(verdict))
    _, out, _ = verb("inspect", path, "--page", hex(sample.log + 9))
    assert out.count("run's verdict, generation 2 at entry: KHR-I080 no preserved page") == 1


@pytest.mark.parametrize(
    "image, before",
    [
        ("gen2.entry", "gen1.sealed"),
        ("gen2.restored", "gen1.sealed"),
        ("gen2.end", "gen2.sealed"),
        ("gen3.entry", "gen2.sealed"),
        ("gen1.sealed", "gen1.restored"),
        ("gen1.restored", "gen1.entry"),
        ("gen1.entry", None),
        ("gen10.entry", "gen2.sealed"),
    ],
)
def test_the_last_seal_before_a_stop_counts(tmp_path: Path, image: str, before: str | None) -> None:
    kept = ("gen1.entry", "gen1.restored", "gen1.sealed", "gen2.entry", "gen2.restored",
            "gen2.sealed", "gen2.end", "gen9.left", "gen9.sealed.bak")  # fmt: skip
    for name in kept:
        (tmp_path / f"{name}.ram.zst").touch()
    found = stop_before(tmp_path / f"{image}.ram.zst")
    assert found == (tmp_path / f"{before}.ram.zst" if before else None)
    assert stop_before(tmp_path / "vmcore") is None
    assert stop_before(tmp_path / "none" / "gen1.sealed.ram") is None
