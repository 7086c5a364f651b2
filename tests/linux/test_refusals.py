# SPDX-License-Identifier: BSD-3-Clause
"""A damaged handover is refused by name, by Linux and by khorig, and no more comes of it."""

from __future__ import annotations

import libfdt
import pytest
from peers import ONE_OF_EACH, Chains, arch_of, expect_pass

from khorig.guest.chain_run import ChainRun
from khorig.kho.fdt import MAGIC_BYTES
from khorig.kho.layout import SIZE_PROPERTY
from khorig.linux.refusals import (
    LINUX_DAMAGES,
    DamageHook,
    LinuxDamage,
    damaged,
    refusal_hooks,
    refusals_of,
)
from khorig.mem.guest_ram import GuestRam
from khorig.rules.finding import Verdict
from khorig.rules.temporal.definitions import PAGES_UNDER_LINUX
from khorig.run.tamper.hook import TamperHook
from khorig.run.tamper.tampering import Tampering
from khorig.run.tamper.target import Target

TO_LINUX = ("khorig", "linux-7.3")
TO_KHORIG = ("linux-7.3", "khorig")


def run_damaged(chains: Chains, machine: str, kernels: tuple[str, str], name: str) -> None:
    plain = ChainRun(arch_of(machine), machine, kernels=kernels)
    spec = damaged(plain, name)
    result = chains.run(
        machine,
        spec.kernels,
        refusal_hooks(spec),
        tamper=name,
        expected_refusals=spec.expected_refusals,
    )
    lost = LINUX_DAMAGES[name].lost if kernels == TO_LINUX else ""
    if not lost:
        expect_pass(result)
        return
    [finding] = result.findings
    assert (finding.rule, finding.owner) == (PAGES_UNDER_LINUX, lost)


@ONE_OF_EACH
@pytest.mark.parametrize("name", refusals_of(TO_LINUX))
def test_linux_refuses(chains: Chains, machine: str, name: str) -> None:
    run_damaged(chains, machine, TO_LINUX, name)


@ONE_OF_EACH
@pytest.mark.parametrize(
    "name",
    [
        "compatible-older",
        "map-null",
        "root-not-preserved",
        "scratch-begin-unaligned",
        "scratch-size-unaligned",
        "scratch-overlap",
        "scratch-area-beyond-ram",
    ],
)
def test_khorig_refuses_what_linux_left(chains: Chains, machine: str, name: str) -> None:
    run_damaged(chains, machine, TO_KHORIG, name)


def without_size(target: Target, client: str) -> str:
    """Takes the blob-size of a client away."""
    target.delete_property(target.handover.root.address, f"/{client}", SIZE_PROPERTY)
    return f"'{client}' has no {SIZE_PROPERTY}"


@ONE_OF_EACH
def test_khorig_refuses_a_link_of_linux_without_size(chains: Chains, machine: str) -> None:
    cause = "blob-size-missing"
    damage = Tampering("no-size", cause, lambda target: without_size(target, "memblock"))
    expect_pass(chains.run(machine, TO_KHORIG, (TamperHook(damage),), expected_refusals={2: cause}))


@ONE_OF_EACH
@pytest.mark.parametrize("client", ["memblock", "kho_test", "kexec-metadata"])
def test_linux_gives_up_a_client_without_size(chains: Chains, machine: str, client: str) -> None:
    """Not the handover, but this client of it; the verdict says which."""
    hook = DamageHook(LinuxDamage("no-size", "", lambda target: without_size(target, client)))
    result = chains.run(machine, TO_LINUX, (hook,), tamper="no-size")
    assert result.verdict is Verdict.FAIL
    assert f"broken KHO subnode '{client}'" in result.cause


def tree_around(ram: GuestRam, address: int) -> int:
    """Where the device tree begins that has a byte at `address`."""
    page = address - address % 4096
    while ram.read(page, 4) != MAGIC_BYTES:
        page -= 4096
    return page


def anchor_twice(target: Target) -> str:
    """As a kernel leaves it that appends its anchor to the one that it was started with."""
    begin = tree_around(target.ram, target.handoff.root.address)
    tree = bytearray(target.ram.read(begin, int.from_bytes(target.ram.read(begin + 4, 4), "big")))
    # Makes room; Linux does without a clock.
    assert libfdt.fdt_del_node(tree, libfdt.fdt_path_offset(tree, "/pl031@9010000")) == 0
    field = target.handoff.root
    once = field.encode(field.value) + target.handoff.root_size.encode(4096)
    chosen = libfdt.fdt_path_offset(tree, "/chosen")
    assert libfdt.fdt_setprop(tree, chosen, "linux,kho-fdt", once * 2, len(once) * 2) == 0
    target.ram.write(begin, bytes(tree))
    return f"/chosen has the anchor {field.value:#018x} twice"


def test_linux_refuses_two_anchors(chains: Chains) -> None:
    """Linux takes a property with one entry only, and says nothing about one with two."""
    hook = DamageHook(LinuxDamage("anchor-twice", "silent", anchor_twice))
    expect_pass(chains.run("virt", TO_LINUX, (hook,), expected_refusals={2: "silent"}))


def test_a_linux_without_handover_starts_cold(chains: Chains) -> None:
    """Debian's own kernel says that it was offered one, and uses all memory."""
    cause = "not-supported"
    result = chains.run(
        "q35",
        ("khorig", "linux-stock"),
        expected_refusals={2: cause},
        extra_options=("kho_scratch=192M,32M,32M",),  # 60 MiB of kernel in one piece
    )
    expect_pass(result)
