# SPDX-License-Identifier: BSD-3-Clause
"""`khorig linux grid` with real kernels."""

from __future__ import annotations

import json
from typing import Any, Mapping

import pytest

from khorig.api.rig import Rig
from khorig.cli import exit_codes
from khorig.cli.main import main
from khorig.pytest_plugin import built_peer

PEERS = ("linux-7.3", "linux-7.2")
KERNELS = (*PEERS, "khorig")
_WAYS = ("direct", "through khorig", "four hops")

Grid = Mapping[tuple[str, str, str], Mapping[str, Any]]


def grids(
    rig: Rig, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, dict[str, Grid], str]:
    """The exit status, the cells of each machine, and what was printed."""
    for arch in ("x86_64", "arm64"):
        for name in PEERS:
            built_peer(arch, name)
    with pytest.raises(SystemExit) as ended:
        main(["linux", "grid", "--against", "7.3,7.2", "--json", "--out", str(rig.out), *words])
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    found: dict[str, Grid] = {
        grid["machine"]: {(c["from"], c["to"], c["hops"]): c for c in grid["cells"]}
        for grid in json.loads(out)["grids"]
    }
    return ended.value.code, found, err


def test_every_kernel_hands_over_to_every_kernel(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found, text = grids(rig, capsys)
    assert set(found) == {"q35", "virt"}
    for machine, grid in found.items():
        assert set(grid) == {
            (one, other, way)
            for one in KERNELS
            for other in KERNELS
            for way in _WAYS
            if way != "through khorig" or "khorig" not in (one, other)
        }
        others = {key: cell for key, cell in grid.items() if cell["outcome"] != "accepted"}
        assert not others, f"{machine}\n{text}"
    assert status == exit_codes.PASS
    assert "44 chains: 44 accepted" in text
    page = (rig.out / "latest" / "report.html").read_text(encoding="utf-8")
    assert page.count('class="g-accepted"><title>') == 44


@pytest.mark.parametrize("machine", ["q35", "virt"])
def test_each_outcome_is_in_the_cells_where_its_defect_is(
    rig: Rig, capsys: pytest.CaptureFixture[str], machine: str
) -> None:
    """The second kernel refuses where it is a Linux, the third dies where it is one, and a byte
    changes under way to the last where that is the fourth."""
    words = ("--linux-append", "2:kho=off", "--linux-append", "3:rdinit=/none")
    poke = ("--poke", "3:sealed:memblock/reference+0x10")
    status, found, text = grids(rig, capsys, "--machine", machine, *words, *poke)
    assert status == exit_codes.FAIL
    for (one, other, way), cell in found[machine].items():
        expected = "refused cleanly"
        if way == "through khorig" or (way == "four hops" and other == "khorig" and one in PEERS):
            expected = "died"
        elif other == "khorig":
            expected = "accepted" if way == "direct" else "taken wrongly"
        assert cell["outcome"] == expected, f"{one} to {other}, {way}: {cell}\n{text}"
        if expected == "refused cleanly":
            assert cell["words"].startswith("disabled: ") and cell["generation"] == 2
        if expected == "died":
            assert "Kernel panic" in cell["words"] and cell["generation"] == 3
            assert "kernel_init+" in cell["places"][0], cell
        if expected == "taken wrongly":
            assert (cell["rule"], cell["generation"]) == ("KHR-I080", 4)
            assert cell["owner"].startswith("memblock/reference page 0")
