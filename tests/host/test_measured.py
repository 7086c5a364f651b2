# SPDX-License-Identifier: BSD-3-Clause
"""The measure of a call's cost is right whatever the process did before."""

from __future__ import annotations

import time

import pytest
from measured import cost_of

_MIB = 1 << 20


def _take(mib: int) -> None:
    assert len(bytes(range(256)) * (mib << 12)) == mib * _MIB


def test_memory_of_the_call_alone_counts() -> None:
    _take(96)
    assert 48 << 10 < cost_of(lambda: _take(64)).grown_kib < 80 << 10
    assert cost_of(lambda: None).grown_kib < 8 << 10


def test_cpu_time_of_the_call_alone_counts() -> None:
    def work() -> None:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass

    work()
    assert 0.1 <= cost_of(work).cpu_s < 0.3
    assert cost_of(lambda: time.sleep(0.2)).cpu_s < 0.1


def test_a_call_that_raises_is_a_failure_with_its_traceback() -> None:
    with pytest.raises(AssertionError, match="(?s)Traceback.*ZeroDivisionError"):
        cost_of(lambda: 1 // 0)
