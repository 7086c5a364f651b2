# SPDX-License-Identifier: BSD-3-Clause
"""What the probe of KVM says of a guest that ran and of one that did not."""

from __future__ import annotations

import pytest
from rig import Rig, Script

from khorig.run.kvm_probe import boot_with_kvm
from khorig.vm.machines import machine_named


@pytest.mark.parametrize(
    "script, why",
    [
        ([["exit", 33]], ""),
        ([["exit", 35]], "QEMU with KVM exited with status 35"),
        ([["kill", 6]], "QEMU with KVM was killed by SIGABRT"),
        ([["busy", 60]], "guest with KVM did not finish in 0.3 s"),
    ],
)
def test_a_guest_has_to_come_to_its_end(rig: Rig, script: Script, why: str) -> None:
    rig.play(script)
    assert boot_with_kvm(machine_named("q35"), timeout_s=0.3) == why


def test_it_is_kvm_that_is_tried(rig: Rig) -> None:
    qemu = rig.folder / "bin" / "qemu-system-x86_64"
    qemu.unlink()
    qemu.write_text('#!/bin/sh\necho "$*" >&2\nexit 1\n')
    qemu.chmod(0o755)
    why = boot_with_kvm(machine_named("q35"))
    assert why.startswith("no guest with KVM: QEMU exited with status 1: ") and "accel=kvm" in why
