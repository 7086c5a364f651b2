# SPDX-License-Identifier: BSD-3-Clause
"""Huge pages that are reserved at boot (N10): Linux 7.2 counts them twice for the size of scratch,
which has no room then, and hands nothing over; 7.3 leaves them out."""

from __future__ import annotations

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import built_peer
from khorig.rules.finding import Verdict
from khorig.rules.protocol.definitions import GUEST

_GIB = 1 << 30
_PAGES = ("1:hugepagesz=1G", "1:hugepages=1")


def skip_without_huge_pages(name: str) -> None:
    """A peer of an earlier configuration ignores the options."""
    peer = built_peer("x86_64", name)
    config = (peer.directory / "config").read_text(encoding="utf-8")
    if "CONFIG_HUGETLBFS=y" not in config:
        pytest.skip(f"{peer.name} has no huge pages; fix: scripts/khorig linux build")


def test_n10_a_linux_that_has_no_room_for_scratch_says_why(rig: Rig) -> None:
    skip_without_huge_pages("linux-7.2")
    kernels = ("linux-7.2", "khorig")
    result = rig.run("q35", kernels=kernels, linux_options=_PAGES, memory=4 * _GIB)
    assert (result.verdict, result.rule) == (Verdict.FAIL, GUEST), result
    assert result.findings[0].generation == 1
    assert result.cause.startswith("kho: switched itself off: no room for scratch beside 1024 MiB")


def test_huge_pages_that_leave_no_room_are_named(rig: Rig) -> None:
    """Also where they do not count: other memory asks for more than they have left."""
    skip_without_huge_pages("linux-7.3")
    options = (*_PAGES, "1:reserve_mem=1100M:4096:large")
    kernels = ("linux-7.3", "khorig")
    result = rig.run("q35", kernels=kernels, linux_options=options, memory=4 * _GIB)
    assert result.cause.startswith("kho: switched itself off: no room for scratch beside 1024 MiB")


@pytest.mark.parametrize("linux", ["linux-7.2", "linux-7.3"])
def test_without_huge_pages_none_are_blamed(rig: Rig, linux: str) -> None:
    """Any other memory that is reserved counts as well."""
    options = ("1:reserve_mem=400M:4096:large", "1:hugepages=8")  # of 2 MiB, after scratch
    result = rig.run("q35", kernels=(linux, "khorig"), linux_options=options)
    assert result.cause == "kho: switched itself off: no room for scratch (see kho_scratch=)"


def test_n10_scratch_of_a_given_size_has_room(rig: Rig) -> None:
    skip_without_huge_pages("linux-7.2")
    options = (*_PAGES, "1:kho_scratch=48M,48M,48M")
    rig.run(
        "q35", kernels=("linux-7.2", "khorig"), linux_options=options, memory=4 * _GIB
    ).expect_pass()


def test_n10_huge_pages_are_left_out_since(rig: Rig) -> None:
    skip_without_huge_pages("linux-7.3")
    kernels = ("linux-7.3", "khorig")
    rig.run("q35", kernels=kernels, linux_options=_PAGES, memory=4 * _GIB).expect_pass()
