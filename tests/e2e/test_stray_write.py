# SPDX-License-Identifier: BSD-3-Clause
"""What a generation does to memory that it took over, between the check and the next handover."""

from __future__ import annotations

import re

import pytest

from khorig.api.rig import Rig
from khorig.kho.handover import decode_handover
from khorig.kho.layout import GEOMETRY_4K
from khorig.mem.memory import RamMemory
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict
from khorig.rules.temporal.definitions import PAGES_HANDED_ON
from khorig.run.judging import StopContext


class StrayWrite:
    """A StopHook: writes into the middle of a page of the largest block, as a device that nobody
    stopped would, after generation 2 has found everything in order."""

    def __init__(self) -> None:
        self.page = 0

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook."""
        if (context.at, context.generation) == ("sealed", 1):
            root = context.event.address("root")
            blocks = decode_handover(RamMemory(context.ram), root, GEOMETRY_4K).blocks
            self.page = int(blocks.frames[blocks.orders.argmax()]) << 12
        if (context.at, context.generation) != ("restored", 2):
            return []
        context.ram.write(self.page + 2048, b"stray")
        return [f"wrote to {self.page:#x}"]


@each_arch
@pytest.mark.parametrize("scenario", ["handover", "chain"])
def test_a_stray_write_is_not_sealed_as_if_it_were_right(
    rig: Rig, machine: str, scenario: str
) -> None:
    stray = StrayWrite()
    result = rig.run(machine, scenario, hooks=[stray])
    assert result.verdict is Verdict.FAIL
    finding = result.findings[0]
    assert (finding.rule, finding.generation, finding.stop) == (PAGES_HANDED_ON, 2, "sealed")
    assert f"page {stray.page:#018x} changed" in finding.what
    assert "at sealed in generation 1" in finding.what
    assert re.fullmatch(r"block \d+ \(order \d+\) page 0", finding.owner)
