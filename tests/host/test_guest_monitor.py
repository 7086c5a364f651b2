# SPDX-License-Identifier: BSD-3-Clause
"""What guest and firmware say themselves, and which end that explains."""

from __future__ import annotations

from typing import Any

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.guest.event import GuestEvent
from khorig.guest.khorig_run import KhorigRun
from khorig.rules.finding import Verdict
from khorig.run.firmware_monitor import FirmwareMonitor
from khorig.run.guest_monitor import GuestMonitor

PASS, FAIL, PANIC, NO_MEMORY, USAGE = 33, 35, 37, 39, 41
FIELDS: dict[str, dict[str, Any]] = {
    "fail": {"file": "a.cc", "line": 7, "what": "ledger", "text": "two pages differ"},
    "mismatch": {"page": "0x1000", "got": "0xbad", "want": "0x600d", "owner": "store 'a'"},
    "panic": {"text": "page fault"},
    "error": {"cause": "memory", "text": "too little"},
}


def event(kind: str, **fields: Any) -> GuestEvent:
    return GuestEvent(kind, 2, 0, 0.0, {**FIELDS[kind], **fields})


def words(expected_status: int = PASS) -> GuestMonitor:
    return GuestMonitor(KhorigRun("x86_64", "q35", expected_status=expected_status))


@pytest.mark.parametrize(
    "kind, statuses",
    [("fail", {FAIL}), ("mismatch", {FAIL}), ("panic", {PANIC}), ("error", {NO_MEMORY, USAGE})],
)
def test_a_word_explains_its_own_status_only(kind: str, statuses: set[int]) -> None:
    said = words()
    said.on_event(event(kind))
    explained = {status for status in (PASS, FAIL, PANIC, NO_MEMORY, USAGE) if said.explain(status)}
    assert explained == statuses


_KILLED = "Attempted to kill init! exitcode=0x00002d00"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([f"[    1.2] Kernel panic - not syncing: {_KILLED}", "Call Trace:"], []),
        (["Kernel panic - not syncing: Fatal exception"], ["Fatal exception"]),
        ([f"Kernel panic - not syncing: {_KILLED} and more"], [f"{_KILLED} and more"]),
        # The crash kernel was not entered.
        ([f"Kernel panic - not syncing: {_KILLED}"] * 2, [_KILLED]),
    ],
)
@pytest.mark.parametrize("crash", [0, 1])
def test_a_panic_is_none_of_its_own_that_was_announced(
    lines: list[str], found: list[str], crash: int
) -> None:
    said = GuestMonitor(ChainRun("x86_64", "q35", kernels=("linux-7.3",) * 2, crash=crash))
    said.on_event(GuestEvent("crash", 1, 0, 0.0, {"panic": _KILLED}))
    for line in lines:
        said.on_text(line)
    texts = [
        finding.what.removeprefix("Kernel panic - not syncing: ") for finding in said.finish(1)
    ]
    assert texts == (found if crash else [(found or [_KILLED])[0]])


def test_a_panic_of_the_crash_kernel_is_not_the_announced_one() -> None:
    said = GuestMonitor(ChainRun("x86_64", "q35", kernels=("linux-7.3",) * 2, crash=1))
    said.on_event(GuestEvent("crash", 1, 0, 0.0, {"panic": _KILLED}))
    said.on_event(GuestEvent("boot", 2, 0, 0.0, {}))
    said.on_text(f"Kernel panic - not syncing: {_KILLED}")
    [finding] = said.finish(2)
    assert finding.verdict is Verdict.CRASH and finding.generation == 2


@pytest.mark.parametrize("kind", ["fail", "mismatch", "error"])
@pytest.mark.parametrize("expected", [PASS, FAIL, PANIC, NO_MEMORY, USAGE])
def test_a_word_is_a_finding_unless_the_run_has_to_end_so(kind: str, expected: int) -> None:
    fits = {"fail": (FAIL,), "mismatch": (FAIL,), "error": (NO_MEMORY, USAGE)}[kind]
    findings = words(expected).on_event(event(kind))
    assert len(findings) == (0 if expected in fits else 1)


def test_a_mismatch_has_both_values_the_right_way_round() -> None:
    [finding] = words().on_event(event("mismatch"))
    assert finding.what == (
        "page 0x0000000000001000: guest hash 0x0000000000000bad, " "ledger 0x000000000000600d"
    )
    assert (finding.where, finding.owner) == ("0x0000000000001000", "store 'a'")


def test_the_first_panic_counts_and_its_lines_are_bounded() -> None:
    said = words()
    said.on_text("before it")
    assert said.on_event(event("panic")) == []
    for number in range(30):
        said.on_text(f"line {number}")
        said.on_text(" ")
    said.on_event(event("panic", text="exception in an exception"))
    [finding] = said.finish(5)
    assert (finding.what, finding.generation) == ("panic: page fault", 2)
    assert finding.verdict is Verdict.CRASH
    assert finding.evidence == tuple(f"line {number}" for number in range(24))
    assert words(PANIC).finish(1) == []


OOPS = """\
[    2.1] BUG: unable to handle page fault for address: ffff0000
[    2.1] Hardware name: QEMU
[    2.2] RIP: 0010:kho_restore_page+0x3c/0x120
[    2.3] Kernel panic - not syncing: Fatal exception
[    2.4] Oops: after the end
[    2.4] Kernel panic - not syncing: Aiee, killing interrupt handler!
"""


def test_the_first_panic_of_a_linux_counts_with_its_place() -> None:
    said = words()
    assert not said.linux_panicked
    for line in OOPS.splitlines():
        said.on_text(line)
    assert said.linux_panicked
    [finding] = said.finish(3)
    assert finding.what == "Kernel panic - not syncing: Fatal exception"
    assert (finding.generation, finding.verdict) == (3, Verdict.CRASH)
    assert finding.evidence == (
        "BUG: unable to handle page fault for address: ffff0000",
        "RIP: 0010:kho_restore_page+0x3c/0x120",
    )


@pytest.mark.parametrize(
    "text, verdict",
    [
        ("BdsDxe: failed to load Boot0001", Verdict.FAIL),
        ("UEFI Interactive Shell v2.2", Verdict.FAIL),
        ("!!!! X64 Exception Type - 0D", Verdict.CRASH),
        ("Synchronous Exception at 0x1234", Verdict.CRASH),
        ("BdsDxe: loading Boot0001", None),
    ],
)
def test_firmware_gives_up_before_a_kernel_is_there_or_not_at_all(
    text: str, verdict: Verdict | None
) -> None:
    firmware = FirmwareMonitor(KhorigRun("x86_64", "q35", boot="uefi"))
    assert [finding.verdict for finding in firmware.on_text(text)] == ([verdict] if verdict else [])
    booted = FirmwareMonitor(KhorigRun("x86_64", "q35", boot="uefi"))
    booted.on_boot()
    assert booted.on_text(text) == []
    assert FirmwareMonitor(KhorigRun("x86_64", "q35")).on_text(text) == []
