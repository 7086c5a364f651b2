# SPDX-License-Identifier: BSD-3-Clause
"""What a run leaves when a guest does not keep to the protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rig import Rig, Script, event, stop

from khorig.mem.formats import open_dump
from khorig.mem.memory import PhysRange


def _records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_what_comes_in_one_piece_with_a_finding_is_on_record(rig: Rig) -> None:
    texts = [event("boot", 3, handover=False)[1], "the last words", event("phase", 3, name="x")[1]]
    rig.run([["raw", "".join(f"{text}\r\n" for text in texts)], ["sleep", 60]])
    assert rig.session is not None
    [result] = rig.session.results
    assert "generation 3 booted" in result.cause
    records = _records(Path(result.directory))
    kinds = [r["ev"] for r in records if r["ev"] in ("guest", "finding", "console")]
    assert kinds == ["guest", "finding", "console", "guest"]


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"frames": {"table": "0x1000"}}, "frames"),
        ({"frames": [1]}, "frames"),
        ({"frames": {"table": "0x1000", "first": 0, "count": -1}}, "frames"),
        ({"scratch": [["0x1000"]]}, "scratch"),
        ({"scratch": "all of it"}, "scratch"),
    ],
)
def test_the_image_of_a_guest_that_lies_can_be_read(
    rig: Rig, fields: dict[str, Any], lost: str
) -> None:
    said = {
        "frames": {"table": "0x2000", "first": 0, "count": 4},
        "scratch": [["0x1000", "0x1000"]],
    }
    script: Script = [
        event("boot", 1, handover=False, parameters="everywhere"),
        event("memory", 1, **{**said, **fields}),
        *stop("sealed", 1, root="zero"),
        ["exit", 37],
    ]
    result = rig.run(script, stops=("sealed",))
    path = Path(result.directory) / "gen1.end.ram.zst"
    with open_dump(path) as dump:
        assert dump.run is not None and dump.machine == "q35"
        assert (dump.run.root, dump.run.parameters) == (None, None)
        assert dump.run.scratch == (() if lost == "scratch" else (PhysRange(0x1000, 0x1000),))
        assert dump.run.frame_table == (None if lost == "frames" else (0x2000, 0, 4))
    notes = json.loads(path.with_name("gen1.end.json").read_text())["left_out"]
    assert len(notes) == 3 and sum(f"'{lost}" in note for note in notes) == 1


@pytest.mark.parametrize(
    ("field", "why"),
    [
        (r'"what":"\ud800"', "half of a surrogate pair"),
        ('"ns":1' + "0" * 400, "does not fit in 64 bits"),
        ('"x":NaN', "NaN is not JSON"),
        ('"x":' + "[" * 9000 + "]" * 9000, "nested more than"),
        ('"gen":2', "an object with two 'gen'"),
    ],
)
def test_what_a_guest_says_ends_no_session(rig: Rig, field: str, why: str) -> None:
    line = f'@khorig {{"ev":"phase","gen":1,"t":5,{field}}}\r\n'
    result = rig.run([event("boot", 1, handover=False), ["raw", line], ["exit", 33]])
    assert why in result.cause
    assert (Path(result.directory) / "verdict.json").exists()
    assert (
        json.loads((Path(result.directory) / "verdict.json").read_text())["cause"] == result.cause
    )
