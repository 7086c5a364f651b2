# SPDX-License-Identifier: BSD-3-Clause
"""A damaged handover is refused by name, by Linux and by khorig, and no more comes of it."""

from __future__ import annotations

import libfdt
import pytest

from khorig.api.rig import Rig
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
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict
from khorig.rules.temporal.definitions import PAGES_UNDER_LINUX
from khorig.run.tamper.hook import TamperHook
from khorig.run.tamper.tampering import Tampering
from khorig.run.tamper.target import Target
from khorig.vm.machines import machine_named

TO_LINUX = ("khorig", "linux-7.3")
TO_KHORIG = ("linux-7.3", "khorig")


def run_damaged(rig: Rig, machine: str, kernels: tuple[str, str], name: str) -> None:
    plain = ChainRun(machine_named(machine).arch, machine, kernels=kernels)
    spec = damaged(plain, name)
    result = rig.run(
        machine,
        kernels=spec.kernels,
        hooks=refusal_hooks(spec),
        tamper=name,
        expected_refusals=spec.expected_refusals,
    )
    lost = LINUX_DAMAGES[name].lost if kernels == TO_LINUX else ""
    if not lost:
        result.expect_pass()
        return
    [finding] = result.findings
    assert (finding.rule, finding.owner) == (PAGES_UNDER_LINUX, lost)


@each_arch
@pytest.mark.parametrize("name", refusals_of(TO_LINUX))
def test_linux_refuses(rig: Rig, machine: str, name: str) -> None:
    run_damaged(rig, machine, TO_LINUX, name)


@each_arch
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
def test_khorig_refuses_what_linux_left(rig: Rig, machine: str, name: str) -> None:
    run_damaged(rig, machine, TO_KHORIG, name)


def without_size(target: Target, client: str) -> str:
    """Takes the blob-size of a client away."""
    target.delete_property(target.handover.root.address, f"/{client}", SIZE_PROPERTY)
    return f"'{client}' has no {SIZE_PROPERTY}"


@each_arch
def test_khorig_refuses_a_link_of_linux_without_size(rig: Rig, machine: str) -> None:
    cause = "blob-size-missing"
    damage = Tampering("no-size", cause, lambda target: without_size(target, "memblock"))
    rig.run(
        machine, kernels=TO_KHORIG, hooks=(TamperHook(damage),), expected_refusals={2: cause}
    ).expect_pass()


@each_arch
@pytest.mark.parametrize("client", ["memblock", "kho_test", "kexec-metadata"])
def test_linux_gives_up_a_client_without_size(rig: Rig, machine: str, client: str) -> None:
    """Not the handover, but this client of it; the verdict says which."""
    hook = DamageHook(LinuxDamage("no-size", "", lambda target: without_size(target, client)))
    result = rig.run(machine, kernels=TO_LINUX, hooks=(hook,), tamper="no-size")
    if client == "memblock":  # the region is then a late one, in scratch (G1): a WARNING
        assert result.verdict is Verdict.CRASH and "kho_preserve_pages" in result.cause
    else:
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


def test_linux_refuses_two_anchors(rig: Rig) -> None:
    """Linux takes a property with one entry only, and says nothing about one with two."""
    hook = DamageHook(LinuxDamage("anchor-twice", "silent", anchor_twice))
    rig.run("virt", kernels=TO_LINUX, hooks=(hook,), expected_refusals={2: "silent"}).expect_pass()


def test_a_linux_without_handover_starts_cold(rig: Rig) -> None:
    """Debian's own kernel says that it was offered one, and uses all memory."""
    cause = "not-supported"
    result = rig.run(
        "q35",
        kernels=("khorig", "linux-stock"),
        expected_refusals={2: cause},
        extra_options=("kho_scratch=192M,32M,32M",),  # 60 MiB of kernel in one piece
    )
    result.expect_pass()
