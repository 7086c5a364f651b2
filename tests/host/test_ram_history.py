# SPDX-License-Identifier: BSD-3-Clause
"""Guest RAM at earlier moments is what it was, at the cost of what changed."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from rig import Rig, Script, event, handover_script

from khorig.api.open_dump import open_dump
from khorig.rules.finding import Verdict
from khorig.vm.ram_file import RamFile
from khorig.vm.ram_history import RamHistory

_SIZE = 8 << 20


def _content(ram: RamFile | RamHistory) -> bytes:
    return ram.pread(ram.size, 0)


def test_every_noted_moment_comes_back(tmp_path: Path) -> None:
    random_one = random.Random(7)
    with RamFile(_SIZE) as ram:
        history = RamHistory(ram, tmp_path)
        moments = []
        for _ in range(6):
            for _ in range(random_one.randrange(8)):
                size = random_one.randrange(1, 3 * 4096)
                at = random_one.randrange(_SIZE - size)
                os.pwrite(ram.descriptors[0], random_one.randbytes(size), at)
            history.note()
            moments.append(_content(ram))
        for moment in reversed(moments):
            assert _content(history) == moment
            if moment is not moments[0]:
                history.back()
        with pytest.raises(IndexError):
            history.back()
        history.close()
    assert list(tmp_path.iterdir()) == []


def test_what_becomes_zero_or_a_hole_is_noted(tmp_path: Path) -> None:
    with RamFile(_SIZE) as ram:
        os.pwrite(ram.descriptors[0], b"x" * 8192, 1 << 20)
        history = RamHistory(ram, tmp_path)
        history.note()
        os.pwrite(ram.descriptors[0], bytes(4096), 1 << 20)
        history.note()
        assert _content(history) == _content(ram)
        os.ftruncate(ram.descriptors[0], 0)  # no page of the file is left
        os.ftruncate(ram.descriptors[0], _SIZE)
        history.note()
        assert not any(_content(history))
        history.back()
        assert _content(history)[(1 << 20) + 4096] == ord("x")
        history.back()
        assert _content(history)[1 << 20] == ord("x")
        history.close()


def test_holes_and_unchanged_pages_take_no_room(tmp_path: Path) -> None:
    with RamFile(1 << 34) as ram:
        os.pwrite(ram.descriptors[0], b"x" * (1 << 20), 1 << 33)
        history = RamHistory(ram, tmp_path)
        for _ in range(4):
            os.pwrite(ram.descriptors[0], os.urandom(100), 1 << 33)
            history.note()
        assert sum(size for _, size in history.extents()) == 1 << 20
        kept = os.fstat(history._before.fileno()).st_size
        assert kept == 3 * 4096
        history.close()


_PLACE = 5 << 20


def _marked(script: Script) -> Script:
    """Before each of its stops the guest writes the number of that stop."""
    marked: Script = []
    for line in script:
        if line[0] == "say" and '"ev": "stop"' in line[1]:
            number = sum(entry[0] == "poke" for entry in marked) + 1
            marked.append(["poke", [_PLACE, f"{number:02x}"]])
        marked.append(line)
    return marked


def test_a_failed_run_that_does_not_repeat_has_images_of_every_stop(rig: Rig) -> None:
    script = _marked(handover_script())[:-2]
    script += [event("fail", 3, what="a page is lost"), ["exit", 35]]
    result = rig.run(script, record=True, counted=False)
    folder = Path(result.directory)
    assert result.verdict is Verdict.FAIL and not (folder / "recorded").exists()
    stops = [f"gen{generation}.{at}" for generation, at in rig.judge.stops]
    assert {path.name for path in folder.glob("*.zst")} == {
        f"{name}.ram.zst" for name in (*stops, "gen3.end")
    }
    for number, name in enumerate(stops, 1):
        with open_dump(folder / f"{name}.ram.zst") as dump:
            assert dump.read(_PLACE, 1)[0] == number, name


def test_a_passed_run_that_does_not_repeat_leaves_no_image(rig: Rig) -> None:
    result = rig.run(_marked(handover_script()), record=True, counted=False)
    assert result.verdict is Verdict.PASS
    assert not [name for name in rig.files(result) if name.endswith((".zst", ".json"))
                and name.startswith("gen")]  # fmt: skip


def test_a_disk_without_room_for_copies_is_named_and_harms_no_run(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RamHistory) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RamHistory, "note", full)
    result = rig.run(handover_script(), record=True, counted=False)
    assert result.verdict is Verdict.PASS
    assert result.images_left_out == 1
    journal = (Path(result.directory) / "events.jsonl").read_text()
    assert "no copy of guest RAM at this stop and the others: No space left on device" in journal
