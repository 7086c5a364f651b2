# SPDX-License-Identifier: BSD-3-Clause
"""What the probe of KVM says of a guest that ran and of one that did not."""

from __future__ import annotations

import pytest
from rig import Rig, Script

from khorig.run.kvm_probe import boot_with_kvm
from khorig.vm.machines import machine_named


@pytest.mark.parametrize(
    "script, timeout_s, why",
    [
        ([["exit", 33]], 20, ""),
        ([["exit", 35]], 20, "QEMU with KVM exited with status 35"),
        ([["kill", 6]], 20, "QEMU with KVM was killed by SIGABRT"),
        ([["busy", 60]], 0.3, "guest with KVM did not finish in 0.3 s"),
    ],
)
def test_a_guest_has_to_come_to_its_end(
    rig: Rig, script: Script, timeout_s: float, why: str
) -> None:
    rig.play(script)
    assert boot_with_kvm(machine_named("q35"), timeout_s=timeout_s) == why


def test_it_is_kvm_that_is_tried(rig: Rig) -> None:
    qemu = rig.folder / "bin" / "qemu-system-x86_64"
    qemu.unlink()
    qemu.write_text('#!/bin/sh\necho "$*" >&2\nexit 1\n')
    qemu.chmod(0o755)
    why = boot_with_kvm(machine_named("q35"))
    assert why.startswith("no guest with KVM: QEMU exited with status 1: ") and "accel=kvm" in why
