# SPDX-License-Identifier: BSD-3-Clause
"""Kernels for arm64 with pages of 16 and 64 KiB: every scenario with its own, and a refusal between
different sizes. The axis arm-pages has the scenario `handover`."""

from __future__ import annotations

import itertools

import pytest

from khorig.api.rig import Rig
from khorig.guest.spec import PAGE_SIZES
from khorig.kho.layout import Geometry
from khorig.rules.finding import Verdict
from khorig.run.tamper.catalogue import TAMPERINGS

GIB = 1 << 30
LARGER = PAGE_SIZES[1:]
SHIFTS = {"4K": 12, "16K": 14, "64K": 16}


def memory_of(*sizes: str) -> int:
    """Three areas of scratch with 512 MiB each at 64 KiB."""
    return 4 * GIB if "64K" in sizes else GIB


def check_scenario(rig: Rig, size: str, scenario: str) -> None:
    rig.run("virt", scenario, page_sizes=(size,), memory=memory_of(size), smp=2).expect_pass()


@pytest.mark.parametrize("size, scenario", [("16K", "storm"), ("64K", "churn")])
def test_a_scenario_at_a_page_size(rig: Rig, size: str, scenario: str) -> None:
    check_scenario(rig, size, scenario)


@pytest.mark.parametrize("scenario", ["storm", "churn", "recursion", "chain"])
@pytest.mark.parametrize("size", LARGER)
def test_every_scenario_at_every_page_size(rig: Rig, size: str, scenario: str) -> None:
    check_scenario(rig, size, scenario)


@pytest.mark.parametrize("pair", itertools.permutations(PAGE_SIZES, 2), ids="-to-".join)
def test_another_page_size_is_refused_by_name(rig: Rig, pair: tuple[str, str]) -> None:
    """The boot goes on cold."""
    result = rig.run(
        "virt",
        "refuse",
        page_sizes=pair,
        memory=memory_of(*pair),
        generations=2,
        expected_refusals={2: "page-size"},
    )
    result.expect_pass()
    (refused,) = result.events("refused")
    assert [int(refused[name], 0) for name in ("found", "expected")] == [
        1 << SHIFTS[size] for size in pair
    ]


@pytest.mark.parametrize("name", ["magic", "node-to-itself", "scratch-begin-unaligned"])
@pytest.mark.parametrize("size", LARGER)
def test_what_is_damaged_is_not_called_another_page_size(rig: Rig, size: str, name: str) -> None:
    result = rig.run(
        "virt",
        "refuse",
        page_sizes=(size,),
        memory=memory_of(size),
        generations=2,
        tamper=name,
        expected_refusals={2: TAMPERINGS[name].cause},
    )
    result.expect_pass()


@pytest.mark.parametrize("size", LARGER)
def test_a_dump_has_the_page_size(rig: Rig, size: str) -> None:
    result = rig.run("virt", page_sizes=(size,), memory=memory_of(size), generations=2, keep=True)
    result.expect_pass()
    for at, generation in (("sealed", 1), ("entry", 2)):
        with result.dump(at, generation) as dump:
            assert dump.geometry == Geometry(SHIFTS[size])
            assert dump.check() == []


def test_a_cpu_without_the_granule_is_named(rig: Rig) -> None:
    """By the kernel itself, which has no MMU then, and by the kernel before, which does not load
    it. The Cortex-A53 has 4 and 64 KiB."""
    first = rig.run("virt", page_sizes=("16K",), memory=GIB, cpu="cortex-a53")
    assert first.verdict is not Verdict.PASS
    assert "the CPU has no pages of 16 KiB" in first.cause
    second = rig.run("virt", page_sizes=("4K", "16K"), memory=GIB, cpu="cortex-a53", generations=2)
    assert "pages of 16 KiB, which this CPU does not have" in second.cause
    rig.run("virt", page_sizes=("64K",), memory=4 * GIB, cpu="cortex-a53").expect_pass()
