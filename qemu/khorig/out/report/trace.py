# SPDX-License-Identifier: BSD-3-Clause
"""trace.json: the timeline in Trace Event Format, for ui.perfetto.dev."""

from __future__ import annotations

import json
from typing import Any, Iterator, Sequence

from khorig.out.report.run_record import RunRecord
from khorig.out.report.timeline import Lane, lanes_of
from khorig.out.text import machine_label, scenario_label

_NS_PER_US = 1000  # the format's unit is the microsecond
_HOST = 1000  # thread number of the host, above those of generations


def trace_document(records: Sequence[RunRecord]) -> str:
    """One process per run: a thread per generation in guest time, and one for the host's checks in
    wall time."""
    events: list[dict[str, Any]] = []
    for number, record in enumerate(records, 1):
        events += _run(record, number)
    return json.dumps({"displayTimeUnit": "ns", "traceEvents": events}) + "\n"


def _run(record: RunRecord, pid: int) -> Iterator[dict[str, Any]]:
    spec = record.result.spec
    name = f"{machine_label(spec)} {scenario_label(spec)}: {record.result.verdict.value}"
    yield _name("process_name", pid, 0, name)
    lanes = lanes_of(record)
    for lane in lanes:
        yield from _lane(lane, pid)
    for before, after in zip(lanes, lanes[1:]):
        # Perfetto drops arrows whose id is not hexadecimal.
        flow = {
            "name": "handover", "cat": "handover", "id": f"{pid << 32 | before.generation:#x}"
        }  # fmt: skip
        yield {**flow, "ph": "s", "pid": pid, "tid": before.generation, "ts": _us(before.end)}
        yield {
            **flow, "ph": "f", "bp": "e", "pid": pid, "tid": after.generation,
            "ts": _us(after.begin),
        }  # fmt: skip
    if record.stops:
        yield _name("thread_name", pid, _HOST, "host checks (wall time)")
    for stop in record.stops:
        micros = stop["host_ms"] * 1000
        yield {
            "name": f"{stop['at']} of generation {stop['gen']}",
            "cat": "host",
            "ph": "X",
            "pid": pid,
            "tid": _HOST,
            "ts": max(0.0, float(stop["s"]) * 1e6 - micros),
            "dur": micros,
        }


def _lane(lane: Lane, pid: int) -> Iterator[dict[str, Any]]:
    yield _name("thread_name", pid, lane.generation, f"generation {lane.generation} (guest time)")
    whole = {"cat": "generation", "ph": "X", "pid": pid, "tid": lane.generation}
    yield {
        **whole,
        "name": f"generation {lane.generation}",
        "ts": _us(lane.begin),
        "dur": _us(lane.end - lane.begin),
    }
    for span in lane.spans:
        yield {
            **whole,
            "name": span.name,
            "cat": "rig" if span.rig else "handover",
            "ts": _us(span.begin),
            "dur": _us(span.end - span.begin),
            "args": {"ns": span.cost, "pages": span.pages},
        }
    for mark in lane.marks:
        yield {
            "name": f"stop {mark.name}" if mark.stop else mark.name,
            "ph": "i",
            "s": "t",
            "pid": pid,
            "tid": lane.generation,
            "ts": _us(mark.at),
        }


def _name(kind: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}


def _us(ns: int) -> float:
    return ns / _NS_PER_US
