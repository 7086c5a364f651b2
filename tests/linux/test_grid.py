# SPDX-License-Identifier: BSD-3-Clause
"""What a grid makes of the results of its chains."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.linux.grid.cell import Cell, judge_cell
from khorig.linux.grid.grid import grids_of
from khorig.linux.grid.hops import Hops
from khorig.linux.grid.outcome import Outcome
from khorig.out.documents import results_document
from khorig.out.grid_text import WIDTH, render_grids
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol.definitions import GUEST, LINUX_REPORTS, PROGRESS, REFUSAL
from khorig.rules.temporal.definitions import PAGES_UNDER_LINUX
from khorig.run.judging import Statistics
from khorig.run.refusal import Refusal
from khorig.run.result import RunResult
from khorig.vm.cpu_report import CpuReport, Frame

NEW, OLD, KHORIG = "linux-7.3:ff25e2c7", "linux-7.2:155c0891", "khorig"
WORDS = "KHO: setup: handover FDT (0x4004b000) is incompatible with 'kho-v4': 1"
INCOMPATIBLE = Refusal("compatible-mismatch", WORDS)
LOST = Finding(
    PAGES_UNDER_LINUX,
    "page 0x000000004004b000 changed: hash 0x808c3f307e0fbf9f at sealed in generation 1, "
    "0xac869b6f32d8bbdb at restored in generation 2",
    where="0x000000004004b000",
    owner="root",
    generation=2,
    stop="restored",
)
PANIC = Finding(
    GUEST,
    "Kernel panic - not syncing: VFS",
    generation=2,
    verdict=Verdict.CRASH,
    evidence=(
        "0xffffffff813baf94 acpi_os_write_port+0x24  interrupts off",
        "0xffffffff81247f2e vpanic+0x361",
        "0xffffffff81247fe6 panic+0x55",
        "0xffffffff814593f6 kernel_init+0x102",
        "0xffffffff81200d3c ret_from_fork+0x3c",
    ),
)
HANG = Finding(
    PROGRESS,
    "no progress: CPU 0 spins in __kho_radix_walk_tree",
    generation=1,
    verdict=Verdict.HANG,
    evidence=("0xffff800080123456 __kho_radix_walk_tree+0x10",),
)
REFUSED = Finding(REFUSAL, f"generation 2 refused its handover: {INCOMPATIBLE.words}", generation=2)
SILENT = Finding(REFUSAL, "generation 2 refused its handover: silent", generation=2)


def result(
    *findings: Finding,
    kernels: tuple[str, ...] = (NEW, OLD),
    machine: str = "virt",
    refusals: dict[int, Refusal] | None = None,
    **spec: Any,
) -> RunResult:
    arch = "arm64" if machine == "virt" else "x86_64"
    run = ChainRun(arch, machine, kernels=kernels, **spec)
    return RunResult(
        run,
        findings[0].verdict if findings else Verdict.PASS,
        findings,
        2,
        Statistics(),
        (),
        1.0,
        "7.2.22",
        33,
        refusals=refusals or {},
        id=run.id,
        rerun="scripts/khorig linux run --chain " + ",".join(kernels),
    )


def cell(*findings: Finding, **options: Any) -> Cell:
    return judge_cell(result(*findings, **options))


def test_a_chain_that_passes_is_accepted() -> None:
    assert cell().outcome is Outcome.ACCEPTED


def test_a_kernel_that_says_why_refuses_cleanly() -> None:
    found = cell(REFUSED, refusals={2: INCOMPATIBLE})
    assert (found.outcome, found.words) == (
        Outcome.REFUSED, f"compatible-mismatch: {WORDS}",
    )  # fmt: skip
    assert (found.kernel, found.generation) == (OLD, 2)


def test_an_expected_refusal_is_one_too() -> None:
    options: dict[str, Any] = {"expected_refusals": {2: "compatible-mismatch"}}
    assert cell(refusals={2: INCOMPATIBLE}, **options).outcome is Outcome.REFUSED
    assert cell(**options).words == "compatible-mismatch"
    silent = {2: Refusal("silent", "")}
    assert cell(refusals=silent, **options).outcome is Outcome.TAKEN_WRONGLY
    taken = Finding(REFUSAL, "generation 2 accepted a corrupted handover", generation=2)
    assert cell(taken, **options).outcome is Outcome.TAKEN_WRONGLY


@pytest.mark.parametrize(
    "findings, refusals",
    [
        ((SILENT,), {2: Refusal("silent", "Linux says nothing about it")}),
        ((LOST, REFUSED), {2: INCOMPATIBLE}),
        ((REFUSED, LOST), {2: INCOMPATIBLE}),
        ((REFUSED,), {3: INCOMPATIBLE}),
    ],
    ids=["silent", "lost-before", "lost-as-well", "another-generation"],
)
def test_a_refusal_is_clean_only_if_nothing_else_is_wrong(
    findings: tuple[Finding, ...], refusals: dict[int, Refusal]
) -> None:
    assert cell(*findings, refusals=refusals).outcome is Outcome.TAKEN_WRONGLY


def test_what_was_taken_wrongly_has_rule_page_and_owner() -> None:
    found = cell(LOST)
    assert found.outcome is Outcome.TAKEN_WRONGLY
    assert (found.rule, found.where, found.owner, found.stop) == (
        PAGES_UNDER_LINUX, "0x000000004004b000", "root", "restored",
    )  # fmt: skip
    report = Finding(LINUX_REPORTS, "linux test_kho: generation 2 did not print", generation=2)
    assert cell(report).outcome is Outcome.TAKEN_WRONGLY


def test_who_died_has_the_places_that_led_there() -> None:
    found = cell(PANIC)
    assert (found.outcome, found.verdict, found.kernel) == (Outcome.DIED, Verdict.CRASH, OLD)
    assert found.places == PANIC.evidence[3:], "what panic() does is the same for all"
    stuck = cell(HANG)
    assert (stuck.outcome, stuck.kernel, stuck.places) == (Outcome.DIED, NEW, HANG.evidence)


def test_a_backtrace_is_as_long_as_it_takes() -> None:
    """A finding has its innermost frames only: on arm64 those of the way to a reset."""
    names = [*(f"restart_{n}+0x1" for n in range(8)), "vpanic+0x2", "panic+0x3", "kernel_init+0x4"]
    wheres = [f"{0xFFFF800080000000 + n:#x} {name}" for n, name in enumerate(names)]
    frames = tuple(Frame(n, where, n == 10) for n, where in enumerate(wheres))
    shown = dataclasses.replace(PANIC, evidence=tuple(wheres[:8]))
    died = result(shown)
    died.cpus = (CpuReport(0, "off", {}, ()), CpuReport(1, "", {}, frames))
    assert judge_cell(died).places == (f"{wheres[10]} ?",)
    spoken = dataclasses.replace(PANIC, evidence=("pc : _find_next_bit+0x1c/0x54",))
    died.findings = (spoken,)
    assert judge_cell(died).places == spoken.evidence, "its own words come first"


def test_a_death_is_one_whatever_was_refused_before() -> None:
    found = cell(PANIC, refusals={2: INCOMPATIBLE})
    assert found.outcome is Outcome.DIED


@pytest.mark.parametrize("verdict", [Verdict.SKIP, Verdict.INFRA])
def test_trouble_of_the_host_says_nothing(verdict: Verdict) -> None:
    found = cell(Finding("", "QEMU: no such machine", verdict=verdict))
    assert (found.outcome, found.words) == (Outcome.NOT_JUDGED, "QEMU: no such machine")


def test_a_result_without_findings_is_read_as_well() -> None:
    broken = result(LOST)
    broken.findings = ()
    assert judge_cell(broken).outcome is Outcome.TAKEN_WRONGLY


@pytest.mark.parametrize("hops", Hops)
def test_a_way_is_found_by_its_chain(hops: Hops) -> None:
    assert Hops.of(hops.chain(NEW, OLD)) == (hops, NEW, OLD)
    assert Hops.of(hops.chain(NEW, NEW)) == (hops, NEW, NEW)


@pytest.mark.parametrize(
    "kernels", [(NEW,), (NEW, OLD, NEW), (NEW, OLD, OLD, NEW), (NEW, KHORIG, NEW, OLD), ()]
)
def test_other_chains_are_no_cells(kernels: tuple[str, ...]) -> None:
    assert Hops.of(kernels) is None


def some() -> list[RunResult]:
    """Every outcome, on two machines."""
    return [
        result(kernels=(NEW, NEW)),
        result(REFUSED, kernels=(NEW, OLD), refusals={2: INCOMPATIBLE}),
        result(LOST, kernels=(NEW, KHORIG, OLD)),
        result(PANIC, kernels=(OLD, NEW)),
        result(kernels=(KHORIG, OLD)),
        result(kernels=(OLD, NEW, OLD, NEW)),
        result(Finding("", "interrupted", verdict=Verdict.SKIP), kernels=(NEW, KHORIG)),
        result(kernels=(NEW, OLD), machine="q35"),
    ]


def test_there_is_a_table_for_each_machine() -> None:
    lines = render_grids(grids_of(some())).splitlines()
    assert lines[1:6] == [
        "arm64 (virt): from row to column",
        "             linux-7.3  linux-7.2  khorig",
        "linux-7.3        + - -      R W -   ? - -",
        "linux-7.2        D - +      - - -   - - -",
        "khorig           - - -      + - -   - - -",
    ]
    assert lines[7] == "x86_64 (q35): from row to column"
    assert lines[-1] == (
        "8 chains: 4 accepted, 1 refused cleanly, 1 taken wrongly, 1 died, 1 not judged"
    )


def test_what_is_not_accepted_is_explained() -> None:
    text = render_grids(grids_of(some()))
    words, version, _ = WORDS.partition(" 'kho-v4'")
    assert (
        "R virt: linux-7.3 to linux-7.2, direct: refused cleanly\n"
        "  verdict   FAIL KHR-I101 corrupted handovers are refused, valid ones accepted\n"
        "  kernel    linux-7.2, generation 2\n"
        f"  words     compatible-mismatch: {words}\n"
        f"           {version}: 1\n"
    ) in text
    assert (
        "  page      0x000000004004b000\n"
        "  owner     root\n"
        "  rerun     scripts/khorig linux run --chain linux-7.3:ff25e2c7,khorig,linux-7.2:155c0891"
    ) in text
    assert (
        "  cause     Kernel panic - not syncing: VFS\n  where     0xffffffff814593f6 kern" in text
    )
    assert text.count("  rerun  ") == 4, "accepted ones need no explanation"


@pytest.mark.parametrize("count, length", [(3, 40), (8, 12), (12, 60)])
def test_no_line_is_too_wide(count: int, length: int) -> None:
    names = [f"linux-{number}@{'X' * (length - 9)}" for number in range(count)]
    runs = [result(LOST, kernels=(a, b), refusals={}) for a in names for b in names]
    lines = render_grids(grids_of(runs)).splitlines()
    assert max(len(line) for line in lines if not line.startswith("  rerun ")) <= WIDTH


def test_what_a_guest_says_does_not_steer_the_terminal() -> None:
    evil = Finding(REFUSAL, "x", generation=2)
    text = render_grids(
        grids_of(
            [
                result(evil, refusals={2: Refusal("\x1b[31mred", "a\nb")}),
                result(kernels=(OLD, NEW)),
            ]
        )
    )
    assert "\x1b" not in text and "?[31mred: a b" in text


def test_two_builds_of_a_name_are_told_apart() -> None:
    other = "linux-7.3:dc35c28d"
    [grid] = grids_of([result(kernels=pair) for pair in ((NEW, other), (other, OLD))])
    assert grid.kernels == (NEW, other, "linux-7.2")


def test_khorig_is_last() -> None:
    [grid] = grids_of([result(kernels=(KHORIG, OLD)), result(kernels=(NEW, KHORIG))])
    assert grid.kernels == ("linux-7.2", "linux-7.3", "khorig")


@pytest.mark.parametrize(
    "chains",
    [
        [],
        [(NEW, OLD)],
        [(NEW, OLD), (NEW, KHORIG, OLD)],
        [(NEW, OLD), (OLD, NEW), (NEW, OLD)],
        [(NEW, OLD), (OLD, NEW), (NEW, OLD, KHORIG)],
    ],
    ids=["nothing", "one", "one-pair", "twice", "another-chain"],
)
def test_other_sessions_are_no_grids(chains: list[tuple[str, ...]]) -> None:
    runs = [result(kernels=kernels) for kernels in chains]
    assert grids_of(runs) == ()
    assert "grids" not in json.loads(results_document(runs))


def test_the_cells_are_in_the_results() -> None:
    document = json.loads(results_document(some()))
    virt, q35 = document["grids"]
    assert (virt["machine"], virt["kernels"]) == ("virt", ["linux-7.3", "linux-7.2", "khorig"])
    cells = {(c["from"], c["to"], c["hops"]): c for c in virt["cells"]}
    lost = cells["linux-7.3", "linux-7.2", "through khorig"]
    assert lost["outcome"] == "taken wrongly" and lost["owner"] == "root"
    assert lost["run"] in {run["id"] for run in document["runs"]}
    assert cells["linux-7.2", "linux-7.3", "direct"]["places"] == list(PANIC.evidence[3:])
    assert [c["outcome"] for c in q35["cells"]] == ["accepted"]
