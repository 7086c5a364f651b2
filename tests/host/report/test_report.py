# SPDX-License-Identifier: BSD-3-Clause
"""The page says what the runs say, whatever they say, and needs nothing but itself."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from report.page_checker import checked_text
from report.runs import NASTY, picture, result, write_run, write_session

from khorig.out.report.fragment_tree import tree_of
from khorig.out.report.memory_map import draw_map
from khorig.out.report.page import write_report
from khorig.out.report.run_record import read_run
from khorig.out.report.timeline import blackouts, lanes_of
from khorig.rules.finding import Verdict
from khorig.vm.errors import InfraError


def _page(folder: Path) -> str:
    """The text of the report on a folder."""
    return checked_text(write_report(folder).read_text(encoding="utf-8"))


def test_a_run_that_passed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", result(Verdict.PASS))
    text = _page(folder)
    for words in ("PASS", "x86_64/q35 handover", "40 pages in 20 blocks", "Generation 1 , sealed",
                  "khorig/archive", "tracker", "scratch", "segment kernel", "memblock",
                  "khorig-stores-v1", "into 2", "seed 0x5eed0001"):  # fmt: skip
        assert words in text, words
    assert "conflict" not in text.split("</style>")[-1].split("Memory")[-1].split("Fragments")[0]


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.CRASH, Verdict.HANG])
def test_a_failure_comes_with_its_evidence(tmp_path: Path, verdict: Verdict) -> None:
    folder = write_run(tmp_path / "run", result(verdict))
    recorded = folder / "recorded"
    recorded.mkdir()
    for name in ("gen1.sealed.ram.zst", "gen2.entry.ram.zst"):
        (recorded / name).write_bytes(b"")
    text = _page(folder)
    for words in (verdict.value, "page changed", "generation 2 of 2, at entry", "entry hashes",
                  "0x0000000040100000", "memblock/mem0 page 0", "0x1: 0x2 before, 0x3 now",
                  "1 more finding", "scripts/khorig run --machine q35", "conflict",
                  "gen1.sealed.ram.zst"):  # fmt: skip
        assert words in text, words
    assert re.search(r"khorig diff \S*gen1\.sealed\.ram\.zst \S*gen2\.entry\.ram\.zst", text)


def test_what_the_guest_says_is_no_markup(tmp_path: Path) -> None:
    html = write_report(write_run(tmp_path / "run", result(Verdict.FAIL))).read_text()
    assert NASTY not in html
    assert "<script>alert" not in html and "&lt;script&gt;alert" in html


def test_a_session_lists_its_runs_in_order(tmp_path: Path) -> None:
    runs = [result(Verdict.PASS), result(Verdict.FAIL, fault="write-after-seal"),
            result(Verdict.SKIP, machine="microvm")]  # fmt: skip
    folder = write_session(tmp_path / "session", runs)
    html = write_report(folder).read_text()
    assert re.findall(r'<span class="chip">(\w+)</span></td>', html) == ["PASS", "FAIL", "SKIP"]
    # Only what needs attention is open.
    assert re.findall(r'<details class="run v-(\w+)" id="run\d"( open)?>', html) == [
        ("PASS", ""), ("FAIL", " open"), ("SKIP", ""),
    ]  # fmt: skip
    _page(folder)


def test_many_runs_stay_readable(tmp_path: Path) -> None:
    runs = [result(Verdict.PASS, fault=f"f{i}") for i in range(60)] + [result(Verdict.FAIL)]
    folder = write_session(tmp_path / "session", runs)
    html = write_report(folder).read_text()
    assert html.count('<figure class="map"') == 1  # the one of the failure
    assert len(html) < 1 << 20


def test_a_session_that_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    run = write_run(folder / "handover" / "x86_64-q35", result(Verdict.PASS))
    (run / "verdict.json").unlink()
    assert "INFRA" in _page(folder) and "no verdict" in _page(folder)


def test_where_nothing_ran_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="not a session or run"):
        write_report(tmp_path)
    (tmp_path / "results.json").write_text('{"runs": 3}')
    with pytest.raises(InfraError, match="cannot read"):
        write_report(tmp_path)


@pytest.mark.parametrize("name", ["events.jsonl", "verdict.json", "results.json"])
def test_damaged_files_still_give_a_page(tmp_path: Path, name: str) -> None:
    """A disk that fills, a version that differs, a guest that lies: 300 files, one change each."""
    chance = random.Random(1)
    run = result(Verdict.FAIL)
    folder = write_session(tmp_path / "session", [run])
    of_run = folder if name == "results.json" else folder / run.id
    text = (of_run / name).read_text()
    whole = text.splitlines() if name == "events.jsonl" else [text]
    for _ in range(300):
        damaged = list(whole)
        at = chance.randrange(len(damaged))
        damaged[at] = _damage(damaged[at], chance)
        (of_run / name).write_text("\n".join(damaged))
        try:
            write_report(of_run)
        except InfraError as error:
            assert name in error.what


def _damage(line: str, chance: random.Random) -> str:
    if chance.random() < 0.2:
        return line[: chance.randrange(len(line))]
    values: list[Any] = [
        *(None, -1, "x", [], {}, 1 << 70, [[]], True, 0.5, "\ud800", 10**400, "9" * 5000),
        *(float("inf"), float("nan"), 1 << 63, -(1 << 63), "0x1", {"ev": 1}, [[[[]]] * 9]),
    ]

    def change(value: Any) -> Any:
        if isinstance(value, (dict, list)) and value and chance.random() < 0.9:
            key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
            value[key] = change(value[key])
            return value
        return chance.choice(values)

    return json.dumps(change(json.loads(line)))


def test_phases_lie_in_each_other_or_apart(tmp_path: Path) -> None:
    record = read_run(write_run(tmp_path / "run", result(Verdict.PASS)))
    lanes = lanes_of(record)
    assert [lane.generation for lane in lanes] == [1, 2]
    spans = {span.name: span for lane in lanes for span in lane.spans}
    assert (spans["serialize"].begin, spans["serialize"].cost) == (9000, 1400)  # after the ledger
    assert spans["take-back"].nested and not spans["restore"].nested
    assert blackouts(record, lanes) == [
        (2, {"serialize": 1400, "quiesce and relocate": 290, "early boot": 390, "restore": 300})
    ]


@pytest.mark.parametrize(
    "spec, words",
    [
        ({}, "400 quiesce"),
        ({"boot": "uefi"}, "21 quiesce"),
        ({"kind": "chain", "kernels": ["khorig"] * 2, "counted": False}, "ns of guest time"),
    ],
)
def test_the_clock_is_called_what_it_is(tmp_path: Path, spec: dict[str, Any], words: str) -> None:
    """A firmware's run takes 64 ns for an instruction: 1400 ns are 21 of them."""
    text = _page(write_run(tmp_path / "run", result(Verdict.PASS, **spec)))
    assert words.replace("400", "1.4 k") in text
    assert ("instructions" in text) == ("ns of" not in words)


def test_the_map_shows_each_owner_where_it_is() -> None:
    drawn = draw_map(picture(), {"khorig/archive": "o0"}, [0x4000_0000])
    layers = {layer.name: layer for layer in drawn.layers}
    assert drawn.rows[0] == 0x4000_0000 and drawn.row_size == 2 << 20
    archive = next(o for o in picture()["owners"] if o["name"] == "khorig/archive")
    left = (archive["runs"][0] * 4096 - 0x4000_0000) / (2 << 20) * 1000
    assert layers["khorig/archive"].key == "o0"
    assert layers["khorig/archive"].path.startswith(f"M{left:.1f} 1.5h")
    assert layers["khorig/log"].key == "other"
    assert layers["segment kernel"].key == "segment"
    assert layers["conflict"].path
    total = sum(layers[name].size for name in layers if name not in ("RAM", "conflict"))
    total -= layers["segment kernel"].size  # it lies in scratch
    assert total + drawn.free == 64 << 20


def test_a_segment_outside_scratch_is_a_conflict() -> None:
    shown = picture()
    shown["segments"].append(["parameters", 0x4010_0000, 4096])
    drawn = draw_map(shown, {}, [])
    assert [layer.name for layer in drawn.layers if layer.key == "stray"] == ["segment parameters"]


def test_the_tree_hangs_blobs_below_their_fragments() -> None:
    root = tree_of(picture())
    assert root is not None and root.name == "root"
    khorig = next(child for child in root.children if child.name == "khorig")
    assert {child.name for child in khorig.children} == {"archive", "log", "stores"}
    assert root.below == sum(len(picture()[kind]) for kind in ("fragments", "blobs")) - 1


def test_a_large_tree_loses_its_deepest_nodes() -> None:
    root = tree_of(picture())
    assert root is not None
    clients = {child.name for child in root.children}
    root.keep(len(clients) + 2)
    assert root.below == len(clients) + 2
    assert {child.name for child in root.children} == clients


def test_the_command(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", result(Verdict.FAIL))

    def report(path: Path) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "khorig", "report", str(path)]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    done = report(folder)
    assert (done.returncode, done.stdout.strip()) == (0, str(folder / "report.html"))
    assert report(tmp_path / "nowhere").returncode == 2
    nothing = report(tmp_path)
    assert nothing.returncode == 0  # the run in it
    (tmp_path / "empty").mkdir()
    assert report(tmp_path / "empty").returncode == 3
