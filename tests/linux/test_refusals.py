# SPDX-License-Identifier: BSD-3-Clause
"""A damaged handover is refused by name, by Linux and by khorig, and no more comes of it."""

from __future__ import annotations

import pytest

from peers import ONE_OF_EACH, Chains, arch_of, expect_pass
from khorig.linux.refusals import damaged, refusal_hooks, refusals_of
from khorig.model import RunSpec

TO_LINUX = ("khorig", "linux-7.3")
TO_KHORIG = ("linux-7.3", "khorig")


def run_damaged(chains: Chains, machine: str, kernels: tuple[str, str], name: str) -> None:
    plain = RunSpec(arch_of(machine), machine, kernels=kernels, generations=2)
    spec = damaged(plain, name)
    result = chains.run(
        machine,
        spec.kernels,
        refusal_hooks(spec),
        tamper=name,
        expected_refusals=spec.expected_refusals,
    )
    expect_pass(result)


@ONE_OF_EACH
@pytest.mark.parametrize("name", refusals_of(TO_LINUX))
def test_linux_refuses(chains: Chains, machine: str, name: str) -> None:
    run_damaged(chains, machine, TO_LINUX, name)


@ONE_OF_EACH
@pytest.mark.parametrize("name", ["compatible-older", "map-null", "scratch-overlap"])
def test_khorig_refuses_what_linux_left(chains: Chains, machine: str, name: str) -> None:
    run_damaged(chains, machine, TO_KHORIG, name)
