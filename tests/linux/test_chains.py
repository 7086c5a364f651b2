# SPDX-License-Identifier: BSD-3-Clause
"""Chains longer than those of a grid, and other machines."""

from __future__ import annotations

from typing import Any

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch

GIB = 1 << 30


@each_arch
@pytest.mark.parametrize(
    "kernels",
    [
        ("khorig", "linux-7.3", "khorig"),
        ("linux-7.2", "khorig", "linux-7.3", "khorig", "linux-7.2"),
        ("linux-7.3", "khorig", "khorig", "linux-7.3"),
        ("linux-7.3", "khorig") * 5,
    ],
    ids=lambda kernels: "-".join(kernels),
)
def test_a_chain_keeps_everything(rig: Rig, machine: str, kernels: tuple[str, ...]) -> None:
    rig.run(machine, kernels=kernels).expect_pass()


@pytest.mark.parametrize(
    ("machine", "spec"),
    [
        ("q35", {"memory": 6 * GIB}),
        ("q35", {"extra_qemu": ("-cpu", "max,la57=off")}),
        ("q35", {"smp": 2}),
        ("microvm", {}),
        ("virt", {"extra_qemu": ("-machine", "gic-version=2")}),
        ("virt", {"extra_qemu": ("-machine", "virtualization=on")}),
        ("virt", {"extra_qemu": ("-machine", "virtualization=on", "-cpu", "cortex-a57")}),
        ("virt", {"smp": 2}),
        ("virt", {"smp": 2, "extra_qemu": ("-machine", "gic-version=2")}),
    ],
    ids=[
        "q35-6G",
        "q35-4-level",
        "q35-2-cpus",
        "microvm",
        "virt-gicv2",
        "virt-el2",
        "virt-el2-without-vhe",
        "virt-2-cpus",
        "virt-2-cpus-gicv2",
    ],
)
def test_machines(rig: Rig, machine: str, spec: dict[str, Any]) -> None:
    rig.run(machine, kernels=("linux-7.3", "khorig", "linux-7.3"), **spec).expect_pass()
