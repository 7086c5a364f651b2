# SPDX-License-Identifier: BSD-3-Clause
"""Four and five levels of page tables on x86_64, with a Linux on either side of the change."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig

LINUX = "linux-7.3"  # five levels, four with no5lvl
# The predecessor's half alone, because the second generation is no khorig: bit 58 in the topmost
# table of the first as the second starts.
SOFTWARE_BITS = "fault=five-level-switch-unmasked"


@pytest.mark.parametrize("machine", ["q35", "microvm"])
@pytest.mark.parametrize(
    ("kernels", "la57", "linux"),
    [
        (("khorig", LINUX, "khorig"), "on", ("no5lvl",)),
        (("khorig", LINUX, "khorig"), "off", ()),
        ((LINUX, "khorig", LINUX), "off", ()),
        ((LINUX, "khorig", LINUX), "on", ("no5lvl",)),
    ],
    ids=["khorig5-linux4", "khorig4-linux5", "linux5-khorig4", "linux4-khorig5"],
)
def test_the_levels_change(
    rig: Rig, machine: str, kernels: tuple[str, ...], la57: str, linux: tuple[str, ...]
) -> None:
    result = rig.run(machine, kernels=kernels, extra_options=(f"la57={la57}",), linux_options=linux)
    result.expect_pass()
    levels = {event["levels"] for event in result.events("mode")}
    assert levels == {5 if la57 == "on" else 4}


def test_linux_masks_software_bits(rig: Rig) -> None:
    """It has eb2266312507."""
    result = rig.run(
        "q35",
        kernels=("khorig", LINUX),
        extra_options=("la57=on", SOFTWARE_BITS),
        linux_options=("no5lvl",),
    )
    result.expect_pass()
