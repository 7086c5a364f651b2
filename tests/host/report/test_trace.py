# SPDX-License-Identifier: BSD-3-Clause
"""trace.json keeps the rules of the Trace Event Format, so that ui.perfetto.dev takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

import pytest
from report.runs import result, write_session

from khorig.out.report.page import write_report
from khorig.rules.finding import Verdict

Event = Mapping[str, Any]
# What each kind of event must have besides name, ph and pid.
_NEEDS = {
    "M": {"tid", "args"}, "X": {"tid", "ts", "dur", "cat"}, "i": {"tid", "ts", "s"},
    "s": {"tid", "ts", "id", "cat"}, "f": {"tid", "ts", "id", "cat", "bp"},
}  # fmt: skip
_SLACK_US = 1e-6  # of sums of floats


def check_trace(text: str) -> list[Event]:
    """The events. Fails for what breaks the format's rules."""
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert set(document) == {"displayTimeUnit", "traceEvents"}
    assert document["displayTimeUnit"] in ("ns", "ms")
    events: list[Event] = document["traceEvents"]
    for event in events:
        kind = event["ph"]
        assert kind in _NEEDS and _NEEDS[kind] <= event.keys(), event
        assert isinstance(event["name"], str) and event["name"], event
        for number in ("pid", "tid"):
            assert type(event[number]) is int and event[number] >= 0, event
        for number in ("ts", "dur"):
            value = event.get(number, 0)
            assert isinstance(value, (int, float)) and value >= 0, event
        assert kind != "i" or event["s"] in ("g", "p", "t"), event
    _check_names(events)
    _check_slices([event for event in events if event["ph"] == "X"])
    _check_flows(events)
    return events


def _check_names(events: list[Event]) -> None:
    """Every process and thread that something happens in has one name."""
    named: dict[tuple[str, int, int], str] = {}
    for event in events:
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name"), event
            key = (event["name"], event["pid"], event["tid"])
            assert key not in named and event["args"]["name"], event
            named[key] = event["args"]["name"]
    for event in events:
        if event["ph"] != "M":
            assert ("process_name", event["pid"], 0) in named, event
            assert ("thread_name", event["pid"], event["tid"]) in named, event


def _check_slices(slices: list[Event]) -> None:
    """Those of a thread lie inside each other or apart; otherwise a viewer drops some."""
    threads: dict[tuple[int, int], list[Event]] = {}
    for event in slices:
        threads.setdefault((event["pid"], event["tid"]), []).append(event)
    for mine in threads.values():
        open_until: list[float] = []
        for event in sorted(mine, key=lambda e: (e["ts"], -e["dur"])):
            end = event["ts"] + event["dur"]
            while open_until and open_until[-1] <= event["ts"] + _SLACK_US:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + _SLACK_US, event
            open_until.append(end)


def _check_flows(events: list[Event]) -> None:
    """An arrow has both ends, in this sequence, each inside a slice of its thread, and for an id a
    hexadecimal number: Perfetto 55 drops all others."""
    ends: dict[str, dict[str, Event]] = {}
    for event in events:
        if event["ph"] in ("s", "f"):
            assert int(event["id"], 16) < 1 << 64, event
            assert event["ph"] not in ends.setdefault(event["id"], {}), event
            ends[event["id"]][event["ph"]] = event
            assert any(
                (other["pid"], other["tid"]) == (event["pid"], event["tid"])
                and other["ts"] <= event["ts"] + _SLACK_US
                and event["ts"] <= other["ts"] + other["dur"] + _SLACK_US
                for other in events
                if other["ph"] == "X"
            ), event
    for both in ends.values():
        assert set(both) == {"s", "f"} and both["s"]["ts"] <= both["f"]["ts"], both


@pytest.fixture
def trace(tmp_path: Path) -> str:
    runs = [result(Verdict.PASS), result(Verdict.FAIL, fault="f")]
    folder = write_session(tmp_path / "session", runs)
    write_report(folder)
    return (folder / "trace.json").read_text()


def test_the_trace_of_a_session(trace: str) -> None:
    events = check_trace(trace)
    assert {event["pid"] for event in events} == {1, 2}
    slices = {event["name"] for event in events if event["ph"] == "X"}
    assert {"generation 1", "serialize", "restore", "sealed of generation 1"} <= slices
    assert sum(event["ph"] == "s" for event in events) == 2
    assert {"stop sealed", "jump", "done"} <= {e["name"] for e in events if e["ph"] == "i"}


def _first(document: Any, kind: str) -> dict[str, Any]:
    event: dict[str, Any] = next(e for e in document["traceEvents"] if e["ph"] == kind)
    return event


@pytest.mark.parametrize("kind, field, value", [
    ("X", "ts", -1.0), ("X", "dur", float("nan")), ("X", "pid", "1"), ("X", "tid", 77),
    ("X", "ph", "B"), ("i", "s", "x"), ("s", "id", "0x9"), ("s", "id", "1.1"),
    ("f", "ts", 0.0), ("M", "args", {}),
])  # fmt: skip
def test_a_broken_trace_is_noticed(trace: str, kind: str, field: str, value: object) -> None:
    document = json.loads(trace)
    _first(document, kind)[field] = value
    with pytest.raises((AssertionError, KeyError, ValueError, pytest.fail.Exception)):
        check_trace(json.dumps(document))


def test_slices_that_cross_are_noticed(trace: str) -> None:
    document = json.loads(trace)
    whole = _first(document, "X")
    crossing = {**whole, "ts": whole["ts"] + whole["dur"] / 2}
    document["traceEvents"].append(crossing)
    with pytest.raises(AssertionError):
        check_trace(json.dumps(document))
