# SPDX-License-Identifier: BSD-3-Clause
"""What is made of measured costs: growth, ratios, table, document, picture."""

from __future__ import annotations

import json
import xml.dom.minidom
from pathlib import Path
from typing import Any, Callable

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.guest.program_end import ProgramEnd
from khorig.linux.cost.judgement import growths, ratios
from khorig.linux.cost.kind import METADATA, PHASES, Kind
from khorig.linux.cost.measurement import Measurement
from khorig.linux.cost.memory import read_metadata
from khorig.linux.cost.point import Point, read_point
from khorig.mem.untrusted import Untrusted
from khorig.out.cost_plot import draw_costs
from khorig.out.cost_text import render_costs, short
from khorig.rules.finding import Finding, Verdict
from khorig.run import marks
from khorig.run.judging import Statistics
from khorig.run.result import RunResult

NEW, OLD = "linux-7.4", "linux-7.3"
SIZES = (1, 10, 100, 1000)
MARKS = {
    marks.PRESERVE: 0x7E001410,
    marks.PRESERVED: 0x7E001411,
    marks.JUMP: 0xFFFFFFFF810B616F,
    marks.LEAVE: 0xFFFFFFFF8103AB9B,
    marks.RESERVE: 0xFFFFFFFF817010AE,
    marks.FREE: 0xFFFFFFFF8170B4C9,
    marks.RETRIEVE: 0x7E001412,
    marks.RETRIEVED: 0x7E001413,
    marks.FINISHED: 0x7E001414,
}


def linear(size: int) -> int:
    return 5000 + 7000 * size


def square(size: int) -> int:
    return linear(size) + 20 * size * size


def points(
    kernel: str = NEW, preserve: Callable[[int], int] = linear, kind: Kind = Kind.SESSIONS
) -> list[Point]:
    """Measurements in which all phases but the first are linear."""
    return [
        Point(
            kernel, "x86_64", "q35", kind, size, size,
            instructions={p.name: linear(size) for p in PHASES} | {"preserve": preserve(size)},
            pages={"tracker": 41, "LUO": 2 + size // 50, "arrays": 0},
        )
        for size in SIZES
    ]  # fmt: skip


def growth_of(made: list[Point], what: str = "preserve") -> float | None:
    (found,) = (g.exponent for g in growths(made) if g.what == what)
    return found


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 2.0])
def test_the_exponent_is_that_of_the_cost_above_its_base(power: float) -> None:
    made = points(preserve=lambda size: 300_000 + int(50_000 * (size - 1) ** power))
    assert growth_of(made) == pytest.approx(power, abs=0.01)


def test_noise_does_not_grow() -> None:
    wobble = {1: 146_000, 10: 161_000, 100: 152_000, 1000: 163_000}
    assert growth_of(points(preserve=wobble.__getitem__)) is None
    assert growth_of(points(), "tracker") is None


def test_one_size_tells_nothing() -> None:
    assert growths(points()[:1]) == []
    assert growth_of(points()[:2]) is None


def test_what_was_not_measured_is_left_out() -> None:
    broken = Point(NEW, "x86_64", "q35", Kind.SESSIONS, 10**5, why_not="CRASH: Kernel panic")
    assert growth_of([*points(), broken]) == growth_of(points())


def test_a_cost_that_grows_faster_than_its_work_is_flagged() -> None:
    measurement = Measurement(NEW, "", tuple(points(preserve=square)))
    assert [(g.what, g.sizes) for g in measurement.steep] == [("preserve", (100, 1000))]
    assert measurement.is_worse
    assert not Measurement(NEW, "", tuple(points())).is_worse
    assert not Measurement(NEW, "", tuple(points(preserve=square)), steepest=2.0).is_worse


def test_what_both_kernels_have_is_flagged_and_no_worse() -> None:
    both = (*points(NEW, square), *points(OLD, square))
    measurement = Measurement(NEW, OLD, both)
    assert len(measurement.steep) == 2 and not measurement.is_worse
    mine = (*points(NEW, square), *points(OLD))
    assert Measurement(NEW, OLD, mine).is_worse
    theirs = (*points(NEW), *points(OLD, square))
    assert not Measurement(NEW, OLD, theirs).is_worse


def test_ratios_of_the_same_size() -> None:
    made = [*points(NEW, lambda size: 2 * linear(size)), *points(OLD)[:3]]
    found = [r for r in ratios(made, NEW, OLD) if r.what == "preserve"]
    assert [(r.size, r.value) for r in found] == [(1, 2.0), (10, 2.0), (100, 2.0)]
    # Of the smallest the difference may be the timer's.
    assert [r.is_dear(1.25) for r in found] == [False, True, True]
    assert not any(r.is_dear(2.5) for r in found)


def test_the_table_has_costs_growth_and_ratios() -> None:
    slow = (*points(NEW, square), *points(OLD))
    text = render_costs(Measurement(NEW, OLD, slow))
    lines = text.splitlines()
    row = next(line for line in lines if line.startswith("    preserve"))
    assert row.split() == ["preserve", "12k", "77k", "905k", "27M", "N^1.47", *row.split()[6:]]
    assert row.endswith("<-- faster than its work")
    assert lines[lines.index(row) + 1].split() == ["/", OLD, "x1.00", "x1.03", "x1.28!", "x3.86!"]
    assert "from 905000 at 100 to 27005000 at 1000" in text
    assert "more expensive: q35, 1000 sessions, preserve: 27005000, linux-7.3 7005000" in text
    assert lines[-1].startswith("1 of 10 costs that grow do so faster")
    assert max(map(len, lines)) <= 130


def test_limits_of_the_kernel_are_said() -> None:
    made = points()
    cut = Point(NEW, "x86_64", "q35", Kind.SESSIONS, 10_000, 819, 28, made[0].instructions)
    dead = Point(NEW, "x86_64", "q35", Kind.SESSIONS, 100_000, why_not="CRASH: Kernel panic")
    text = render_costs(Measurement(NEW, "", (*made, cut, dead)))
    assert "limit of linux-7.4: 819 of 10000: ENOSPC" in text
    assert "linux-7.4, 100000: not measured: CRASH: Kernel panic" in text


@pytest.mark.parametrize(
    "number, text", [(0, "0"), (999, "999"), (1000, "1k"), (7900, "7.9k"), (12_300_000, "12M")]
)
def test_numbers_are_short(number: int, text: str) -> None:
    assert short(number) == text


def test_the_document_has_what_the_table_has() -> None:
    slow = (*points(NEW, square), *points(OLD))
    document = json.loads(json.dumps(Measurement(NEW, OLD, slow).json(), allow_nan=False))
    assert document["kernel"] == NEW and document["against"] == OLD
    assert len(document["points"]) == 8
    flagged = [g for g in document["growth"] if g["flagged"]]
    assert [(g["kernel"], g["what"], g["costs"]) for g in flagged] == [
        (NEW, "preserve", [905_000, 27_005_000])
    ]
    assert {(r["what"], r["size"]) for r in document["ratios"] if r["flagged"]} == {
        ("preserve", 100),
        ("preserve", 1000),
    }


def test_what_cost_nothing_before_is_no_number_in_the_document() -> None:
    made = (*points(), *points(OLD, lambda size: 0))
    found = [r for r in Measurement(NEW, OLD, made).json()["ratios"] if r["what"] == "preserve"]
    assert [r["ratio"] for r in found] == [None] * 4
    assert [r["flagged"] for r in found] == [False, True, True, True]


def test_the_picture_has_a_panel_for_each_kind_and_unit() -> None:
    made = [*points(NEW, square), *points(NEW, kind=Kind.FILES), *points(OLD)]
    picture = draw_costs(Measurement(NEW, OLD, tuple(made)))
    document = xml.dom.minidom.parseString(picture)
    titles = [t.firstChild.data for t in document.getElementsByTagName("text") if t.firstChild]
    for kind in ("sessions", "files"):
        assert f"q35: {kind}, instructions" in titles and f"q35: {kind}, pages" in titles
    lines = document.getElementsByTagName("polyline")
    # Nothing is drawn of the arrays, which have no page.
    assert len(lines) == 3 * (len(PHASES) + len(METADATA) - 1)
    assert sum(line.getAttribute("stroke-width") == "3.5" for line in lines) == 1
    assert sum(bool(line.getAttribute("stroke-dasharray")) for line in lines) == 7
    assert titles.count("thick: faster than N") == 1


def test_sizes_that_tell_nothing_of_growth_are_said(tmp_path: Path) -> None:
    text = render_costs(Measurement(NEW, "", tuple(points()[:2])))
    assert text.endswith("\nno cost grows by more than noise")


def test_a_picture_of_nothing_says_so() -> None:
    dead = Point(NEW, "x86_64", "q35", Kind.FILES, 1, why_not='<HANG> & "more"')
    assert "nothing was measured" in draw_costs(Measurement(NEW, "", (dead,)))


def journal(folder: Path, *records: dict[str, Any]) -> RunResult:
    """A run that passed, with a journal."""
    lines = (json.dumps(record, separators=(",", ":")) + "\n" for record in records)
    (folder / "events.jsonl").write_text("".join(lines))
    spec = ChainRun("x86_64", "q35", kernels=(NEW, NEW), measured=True)
    result = RunResult(spec, Verdict.PASS, [], 2, Statistics(), [], 1.0, "", 33)
    result.directory = str(folder)
    result.programs = [
        ProgramEnd(1, 0, "cost", output=("cost: preserved 10 of 10, errno 0",)),
        ProgramEnd(2, 0, "cost", output=("cost: restored 10 of 10, errno 0",)),
    ]
    return result


def counted() -> list[dict[str, Any]]:
    """Every mark 1000 instructions after the one before, and what is in memory."""
    probe = [
        {"ev": "probe", "stop": "address", "pc": hex(address), "instruction": 1000 * number}
        for number, address in enumerate(MARKS.values(), 1)
    ]
    metadata = 'metadata {"tracker": 41, "LUO": 3, "arrays": 0}'
    return [*probe, {"ev": "hook", "lines": [metadata]}, {"ev": "probe", "pc": "0x1000"}]


def read(result: RunResult, kind: Kind = Kind.SESSIONS) -> Point:
    return read_point(result, NEW, kind, 10, MARKS)


def test_a_journal_is_read(tmp_path: Path) -> None:
    point = read(journal(tmp_path, *counted()))
    assert point.why_not == "" and point.done == 10
    assert point.instructions == {phase.name: 1000 for phase in PHASES}
    assert point.pages == {"tracker": 41, "LUO": 3, "arrays": 0}


def test_a_run_without_a_mark_is_no_measurement(tmp_path: Path) -> None:
    records = [r for r in counted() if r.get("pc") != hex(MARKS[marks.LEAVE])]
    point = read(journal(tmp_path, *records))
    assert point.why_not == "not counted: blackout" and point.cost("preserve") is None


def test_a_run_that_failed_is_no_measurement(tmp_path: Path) -> None:
    result = journal(tmp_path, *counted())
    result.verdict, result.findings = Verdict.FAIL, [Finding("KHR-I080", "page 0x1000 changed")]
    assert read(result).why_not == "FAIL: page 0x1000 changed"


@pytest.mark.parametrize(
    "preserved, restored, why",
    [
        ("cost: preserved 7 of 10, errno 28", "cost: restored 7 of 10, errno 2", ""),
        ("cost: preserved 10 of 10, errno 0", "cost: restored 9 of 10, errno 2", "9 came back"),
        ("cost: preserved 0 of 10, errno 12", "cost: restored 0 of 10, errno 2", "errno 12"),
        ("garbage", "cost: restored 9 of 10, errno 2", "did not say"),
    ],
)
def test_what_the_program_says_counts(
    tmp_path: Path, preserved: str, restored: str, why: str
) -> None:
    result = journal(tmp_path, *counted())
    result.programs = [
        ProgramEnd(1, 0, "cost", output=(preserved,)),
        ProgramEnd(2, 0, "cost", output=(restored,)),
    ]
    point = read(result)
    assert why in point.why_not and bool(why) is bool(point.why_not)
    assert point.limit == ("" if why else "7 of 10: ENOSPC")


def test_areas_of_the_command_line_are_counted_in_memory(tmp_path: Path) -> None:
    records = counted()
    records[-2]["lines"] = ['metadata {"tracker": 41, "areas": 7}']
    point = read(journal(tmp_path, *records), Kind.RESERVED)
    assert (point.done, point.limit) == (7, "7 of 10: no more")


@pytest.mark.parametrize("line", ["metadata {", 'metadata {"LUO": -1}', "metadata []"])
def test_damaged_metadata_is_an_error_with_a_name(line: str) -> None:
    with pytest.raises(Untrusted):
        read_metadata({"lines": [line]})
    assert read_metadata({"lines": ["poked"]}) == {}


def test_sizes_go_up_to_the_limit() -> None:
    assert Kind.FILES.sizes(1) == (1,)
    assert Kind.FILES.sizes(999) == (1, 10, 100)
    assert Kind.FOLIOS.sizes(10**9)[-1] == 100_000
    assert Kind.RESERVED.sizes(1000) == (1, 3, 10)
