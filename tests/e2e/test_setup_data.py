# SPDX-License-Identifier: BSD-3-Clause
"""A setup_data that no kernel of the rig knows goes along a chain of them; a list that is broken
stops none."""

from __future__ import annotations

import struct

import pytest

from khorig.api.rig import Rig
from khorig.rules.finding import Verdict
from khorig.rules.temporal.definitions import GIVEN
from khorig.run.judging import StopContext

_HEADER, _LIST = 0x202, 0x250  # in boot_params: "HdrS", the first setup_data
_NODE = struct.Struct("<QII")
_PLACE = 0x1E00  # of the node, in the second page of the parameters, behind all else
_KHO, _TREE = 10, 2
_PAGE = 4096


class Planted:
    """Puts a node before the others into the parameters that the first kernel has written for the
    second, which are not yet where they will be. `following` is added to the node's own address, or
    None for the rest of the list."""

    def __init__(self, length: int, following: int | None = None) -> None:
        self._length = length
        self._following = following

    def __call__(self, context: StopContext) -> list[str]:
        if (context.at, context.generation) != ("sealed", 1):
            return []
        ram = context.ram
        for begin, size in ram.extents():
            for at in range(-(-begin // _PAGE) * _PAGE, begin + size - 2 * _PAGE, _PAGE):
                if ram.read(at + _HEADER, 4) == b"HdrS" and self._plant(context, at):
                    return ["planted a setup_data"]
        raise AssertionError("no boot_params in memory")

    def _plant(self, context: StopContext, at: int) -> bool:
        ram = context.ram
        first = int.from_bytes(ram.read(at + _LIST, 8), "little")
        destination = first // _PAGE * _PAGE - _PAGE
        if not first or first - destination > 2 * _PAGE:
            return False
        _, kind, _ = _NODE.unpack(ram.read(at + first - destination, _NODE.size))
        if kind != _KHO or any(ram.read(at + _PLACE, 0x200)):
            return False
        own = destination + _PLACE
        following = first if self._following is None else own + self._following
        ram.write(at + _PLACE, _NODE.pack(following, _TREE, self._length) + b"a tree")
        ram.write(at + _LIST, own.to_bytes(8, "little"))
        return True


@pytest.mark.parametrize("machine", ["q35"])
def test_an_unknown_node_goes_on(rig: Rig, machine: str) -> None:
    result = rig.run(machine, hooks=(Planted(64),), generations=4, keep=True)
    result.expect_pass()
    console = (result.folder / "console.log").read_text(errors="replace")
    assert "boot: ignored" not in console


@pytest.mark.parametrize(
    ("length", "following", "words"),
    [
        (64, 0, "setup_data is a cycle"),
        (0xFFFFFFFF, None, "setup_data of impossible length"),
        (64, 1 << 46, "setup_data outside RAM"),
    ],
)
@pytest.mark.parametrize("machine", ["q35"])
def test_a_broken_list_is_named(
    rig: Rig, machine: str, length: int, following: int | None, words: str
) -> None:
    """By the kernel that reads it, and by the host at its entry."""
    result = rig.run(machine, hooks=(Planted(length, following),), keep=True)
    console = (result.folder / "console.log").read_text(errors="replace")
    assert f"boot: ignored: {words}" in console
    assert result.verdict is Verdict.FAIL
    assert any(finding.generation == 2 for finding in result.findings), result
    if following is None:
        assert result.findings[0].rule == GIVEN, result
