# SPDX-License-Identifier: BSD-3-Clause
"""Linux on its way from 5 to 4 levels of page tables, entered on tables with bits of the kernel
before (N1): 7.3 masks them (eb2266312507), and without that it dies in its decompressor.

The mask is taken out of the machine code: a build of Linux takes minutes, and the line is one
constant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from khorig.api.rig import Rig
from khorig.mem.page_tables import FORMATS
from khorig.pytest_plugin import built_peer
from khorig.rules.finding import Verdict
from khorig.run.judging import StopContext

_NO_PTI = 1 << 58  # _PAGE_NOPTISHADOW, which Linux's own identity map for kexec has since 6.14
_ALL = FORMATS["x86_64"].software
_PFN_MASK, _PAGE_MASK = (mask.to_bytes(8, "little") for mask in (0xFFFFFFFFFF000, 2**64 - 4096))
# mov %cr3,reg; movabs $PTE_PFN_MASK,reg; ...; and (reg),reg
_MASKED = re.compile(
    rb"\x0f\x20[\xc0-\xff]\x48[\xb8-\xbf]("
    + re.escape(_PFN_MASK)
    + rb").{0,16}?\x48\x23[\x00-\x3f]",
    re.DOTALL,
)


class OwnBits:
    """A StopHook: bits in the topmost table that khorig's successor is entered on."""

    def __init__(self, bits: int) -> None:
        self._bits = bits

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook."""
        if (context.at, context.generation) != ("sealed", 1):
            return []
        root = int(context.event.fields["tables"]["root"], 16)
        entry = int.from_bytes(context.ram.read(root, 8), "little")
        assert entry & 1, "the first entry maps RAM"
        context.ram.write(root, (entry | self._bits).to_bytes(8, "little"))
        return [f"set {self._bits:#x} in entry 0 of the page table at {root:#x}"]


def without_the_mask(folder: Path) -> str:
    """A Linux 7.3 that follows an entry with all of its upper bits."""
    image = built_peer("x86_64", "linux-7.3").image.read_bytes()
    found = list(_MASKED.finditer(image))
    if len(found) != 1:
        pytest.skip(f"the mask of the switch is {len(found)} times in this build, expected once")
    at = found[0].start(1)
    path = folder / "bzImage"
    path.write_bytes(image[:at] + _PAGE_MASK + image[at + 8 :])
    return str(path)


@pytest.mark.parametrize("bits", [_NO_PTI, _ALL])
def test_n1_linux_masks_bits_of_the_kernel_before(rig: Rig, bits: int) -> None:
    hook = OwnBits(bits)
    kernels = ("khorig", "linux-7.3")
    result = rig.run("q35", kernels=kernels, hooks=(hook,), linux_options=("2:no5lvl",))
    result.expect_pass()
    assert any("in entry 0" in str(r.get("lines")) for r in result.records if r["ev"] == "hook")


@pytest.mark.parametrize("before", ["khorig", "linux-7.3"])
def test_n1_without_the_mask_it_dies_in_its_decompressor(
    rig: Rig, tmp_path: Path, before: str
) -> None:
    """Linux's own tables have such a bit, khorig's only if it is set."""
    hooks = (OwnBits(_NO_PTI),) if before == "khorig" else ()
    result = rig.run(
        "q35",
        kernels=(before, without_the_mask(tmp_path)),
        hooks=hooks,
        linux_options=("2:no5lvl",),
        timeout_s=120.0,
    )
    assert result.verdict is Verdict.CRASH, result
    assert result.findings[0].generation == 2
    assert "generation 2's kernel+0x" in result.cause
    [line] = [line for line in result.findings[0].evidence if "software bits" in line]
    assert "5 levels" in line and line.endswith("software bits of generation 1: 58"), line


def test_n1_without_bits_the_mask_is_not_missed(rig: Rig, tmp_path: Path) -> None:
    kernels = ("khorig", without_the_mask(tmp_path))
    rig.run("q35", kernels=kernels, linux_options=("2:no5lvl",)).expect_pass()
