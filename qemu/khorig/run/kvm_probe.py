# SPDX-License-Identifier: BSD-3-Clause
"""Checks that KVM can run a guest."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from khorig.guest import status as exit_status
from khorig.guest.khorig_run import KhorigRun
from khorig.vm.build_outputs import find_images
from khorig.vm.cancellation import Cancellation
from khorig.vm.command import qemu_argv
from khorig.vm.errors import InfraError
from khorig.vm.machines import MACHINES, Machine
from khorig.vm.exit_meaning import describe_status
from khorig.vm.vm import Exited, Vm


def probe_kvm() -> str:
    """Boots the kernel with KVM and returns "" if it completed, else the reason. Opening /dev/kvm
    proves little: on nested and paravirtual hosts it opens, but no guest runs. Raises InfraError
    if there is no kernel to boot."""
    if not os.path.exists("/dev/kvm"):
        return "no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "no permission to open /dev/kvm (add the user to group 'kvm')"
    cpu = os.uname().machine
    for machine in MACHINES:
        if cpu in machine.host_cpus:
            return boot_with_kvm(machine)
    return f"no machine for KVM on {cpu}"


def boot_with_kvm(machine: Machine, timeout_s: float = 5.0) -> str:
    """Boots the kernel of `machine` once. As `probe_kvm`."""
    images = find_images(machine)
    spec = KhorigRun(
        machine.arch, machine.name, generations=1, stops=(), accel="kvm", counted=False
    )
    with tempfile.TemporaryDirectory(prefix="khorig-kvm-") as folder:
        try:
            with Vm(
                machine,
                spec,
                lambda wiring: qemu_argv(machine, spec, images, wiring),
                Path(folder),
                Cancellation(),
            ) as vm:
                vm.resume()
                return _judge(vm, timeout_s)
        except InfraError as error:
            return f"no guest with KVM: {error.what}"


def _judge(vm: Vm, timeout_s: float) -> str:
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > 0:
        for event in vm.wait(left):
            if isinstance(event, Exited):
                if event.status == exit_status.PASS:
                    return ""
                return f"QEMU with KVM {describe_status(event.status)}"
    return f"guest with KVM did not finish in {timeout_s:g} s"
