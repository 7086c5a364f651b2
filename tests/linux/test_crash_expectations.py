# SPDX-License-Identifier: BSD-3-Clause
"""What a crash kernel has to report of the kernel that died, without a Linux."""

from __future__ import annotations

from typing import Any

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.guest.event import EventFieldError, GuestEvent
from khorig.linux.crash_expectations import CrashExpectations
from khorig.linux.expectations import Expectations
from khorig.rules.protocol.definitions import VMCORE

_GOOD = {"cpus": 2, "osrelease": "7.2.12", "pages": 556}


def spec(*kernels: str) -> ChainRun:
    chain = kernels or ("linux-7.2", "linux-7.3")
    return ChainRun("x86_64", "q35", kernels=chain, crash=len(chain) - 1)


def what(vmcore: dict[str, Any] | None, chain: ChainRun = spec()) -> list[str]:
    """What is wrong with a run in which the crash kernel reports that."""
    expectations = CrashExpectations(chain)
    died = {"cpus": 2, "version": "7.2.12"}
    findings = expectations.take(GuestEvent("boot", chain.crash, 0, 0.0, died))
    if vmcore is not None:
        findings += expectations.take(GuestEvent("vmcore", chain.crash + 1, 0, 0.0, vmcore))
    findings += expectations.finish()
    assert {finding.rule for finding in findings} <= {VMCORE}
    return [finding.what for finding in findings]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, []),
        ({"cpus": 1}, ["CPUs with registers: 1, expected 2"]),
        ({"osrelease": "7.3.4"}, ["OSRELEASE of vmcoreinfo: 7.3.4, expected 7.2.12"]),
        ({"pages": 256}, ["pages of the dead kernel checked: 256, expected 556"]),
    ],
)
def test_what_is_not_the_dead_kernel_is_named(change: dict[str, Any], wrong: list[str]) -> None:
    assert what({**_GOOD, **change}) == wrong


def test_a_crash_kernel_that_reports_nothing() -> None:
    assert what(None) == ["generation 2, a crash kernel, did not report /proc/vmcore"]


def test_a_report_that_lacks_a_field_is_malformed() -> None:
    with pytest.raises(EventFieldError, match="osrelease"):
        what({"cpus": 2, "pages": 556})


def test_the_crash_kernel_itself_is_given_nothing_and_told_so() -> None:
    chain = spec("khorig", "linux-7.3", "linux-7.3")
    died, crash_kernel = (chain.command_line(generation).split() for generation in (2, 3))
    assert {"crashkernel=256M", "khorig.crash=panic", "khorig.luo=create"} <= set(died)
    assert {"nr_cpus=1", "khorig.crash=check"} <= set(crash_kernel)
    assert not any(word.startswith(("reserve_mem=", "khorig.luo=")) for word in crash_kernel)
    assert not any(found.generation == 3 for found in Expectations(chain).finish())
    assert chain.first(2).crash == 0 and chain.first(3) == chain
