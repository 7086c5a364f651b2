# SPDX-License-Identifier: BSD-3-Clause
"""What counts across jumps is drawn over the guest's time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from khorig.mem.untrusted import Untrusted
from khorig.out.report.counter_chart import HEIGHT, WIDTH, charts_of
from khorig.out.report.run_record import RunRecord, unknown_result


def record(*counters: tuple[int, str, str, int, int]) -> RunRecord:
    """Of counters: generation, stop, name, value, ns."""
    names = ("gen", "at", "what", "value", "ns")
    run = RunRecord(Path("run"), unknown_result())
    run.counters += [dict(zip(names, counter)) for counter in counters]
    return run


def jump(generation: int, at: int) -> dict[str, Any]:
    return {"ev": "jump", "gen": generation, "t": at}


def test_a_run_without_counters_has_no_chart() -> None:
    assert charts_of(record()) == []


def test_values_lie_over_time_and_jumps_between_them() -> None:
    run = record((1, "sealed", "edu", 3, 1000), (2, "entry", "edu", 3, 3000),
                 (2, "restored", "edu", 5, 5000))  # fmt: skip
    run.guest += [jump(1, 2000), jump(2, 9000), {"ev": "done", "gen": 3, "t": 2500}]
    (chart,) = charts_of(run)
    assert (chart.what, chart.least, chart.most) == ("edu", 3, 5)
    assert (chart.first_ns, chart.last_ns) == (1000, 5000)
    assert [(point.x, point.y) for point in chart.points] == [
        (0, HEIGHT), (WIDTH / 2, HEIGHT), (WIDTH, 0)
    ]  # fmt: skip
    assert chart.points[1].where == "generation 2 at entry"
    assert list(chart.jumps) == [(WIDTH / 4, 1)], "the second lies behind the last value"
    assert chart.path == "M0.0 160.0L500.0 160.0L1000.0 0.0"


def test_one_value_is_a_point() -> None:
    (chart,) = charts_of(record((1, "sealed", "edu", 7, 1000)))
    assert [(point.x, point.y, point.value) for point in chart.points] == [(0, 0, 7)]


def test_each_counter_has_its_own() -> None:
    run = record((1, "sealed", "edu", 0, 1), (1, "sealed", "cpu", 9, 1), (2, "entry", "edu", 1, 2))
    assert [(chart.what, len(chart.points)) for chart in charts_of(run)] == [("edu", 2), ("cpu", 1)]


@pytest.mark.parametrize("name", ["gen", "at", "what", "value", "ns"])
def test_damage_is_named(name: str) -> None:
    run = record((1, "sealed", "edu", 0, 1))
    run.counters[0] = {**run.counters[0], name: None}
    with pytest.raises(Untrusted):
        charts_of(run)
