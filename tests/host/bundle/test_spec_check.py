# SPDX-License-Identifier: BSD-3-Clause
"""A specification from elsewhere names nothing outside of the folder for artifacts, and asks for
nothing that no machine has."""

from __future__ import annotations

from typing import Any

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.poke import Poke
from khorig.mem.untrusted import Untrusted
from khorig.run.spec_check import check_spec


@pytest.mark.parametrize(
    "fields, why",
    [
        ({"arch": "arm64"}, "machine 'arm64/q35' is not known"),
        ({"machine": "../q35"}, "machine 'x86_64/../q35' is not known"),
        ({"memory": 0}, "'memory': 0, expected"),
        ({"memory": -65536}, "'memory': -65536"),
        ({"memory": 1 << 41}, "'memory'"),
        ({"memory": (1 << 20) + 1}, "no multiple"),
        ({"smp": 0}, "'smp': 0"),
        ({"smp": 100000}, "'smp': 100000"),
        ({"seed": -1}, "'seed': -1"),
        ({"generations": 0}, "'generations': 0"),
        ({"timeout_s": 1e30}, "'timeout_s'"),
        ({"boot": "network"}, "'boot': 'network'"),
        ({"stops": ("sealed", "..")}, "'stops': '..'"),
        ({"scenario": "../../x"}, "'../../x' is no name"),
        ({"scenario": "/etc"}, "'/etc' is no name"),
        ({"scenario": ".."}, "'..' is no name"),
        ({"scenario": ""}, "'' is no name"),
        ({"scenario": "x" * 200}, "is no name"),
        ({"fault": "../x"}, "'../x' is no name"),
        ({"tamper": "a/b"}, "'a/b' is no name"),
        ({"extra_options": ("a\0b",)}, "control characters"),
        ({"extra_options": ("a\nb",)}, "control characters"),
        ({"plays": ("x" * 5000,)}, "too long"),
        ({"pokes": (Poke(1, "sealed", "a\x1b[2J"),)}, "control characters"),
        ({"kernels": ("khorig", "../x")}, "'../x' is no name"),
        ({"kernels": ("khorig", "/boot/vmlinuz")}, "is no name"),
        ({"kernels": ("khorig", "linux-7.3:xyz")}, "'linux-7.3:xyz' is no name"),
        ({"kernels": ("khorig", f"linux-7.3@A@{'x' * 40}@/../y")}, "is no name"),
        ({"kernels": ("khorig", "linux-" + "x" * 200)}, "is no name"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], why: str) -> None:
    kind = ChainRun if "kernels" in fields else KhorigRun
    with pytest.raises(Untrusted, match=why):
        check_spec(kind(**{"arch": "x86_64", "machine": "q35", **fields}))


def test_what_runs_have_is_accepted() -> None:
    poke = Poke(1, "sealed", "khorig/stores/blocks", 16)
    check_spec(KhorigRun("x86_64", "q35", fault="write-after-seal", smp=4, pokes=(poke,)))
    check_spec(ChainRun("arm64", "virt", kernels=("linux-7.3@ARM64_16K_PAGES", "khorig")))
    many = "linux-7.3" + "@DEBUG_PAGEALLOC=y" * 9
    check_spec(ChainRun("arm64", "virt", kernels=("linux-7.3:dc35c28d", f"{many}:dc35c28d")))
    check_spec(ChainRun("x86_64", "q35", kernels=("linux-7.3:33279efd", "khorig")))
