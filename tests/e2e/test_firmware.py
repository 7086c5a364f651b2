# SPDX-License-Identifier: BSD-3-Clause
"""What firmware says of the CPUs, and what a machine cannot do, leaves the kernel as it is."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest

from khorig.api.rig import Rig
from khorig.rules.finding import Verdict
from khorig.run.judging import StopContext

# The header's words with the whole size, the offset and the size of the names; the token of a
# property (devicetree.org's specification, 5.2 and 5.4).
SIZE, NAMES, NAMES_SIZE, PROPERTY = 4, 12, 32, 3


def device_tree(folder: Path) -> bytes:
    """The device tree that QEMU gives `virt` with two CPUs, without the room behind it."""
    blob = folder / "virt.dtb"
    command = ["qemu-system-aarch64", "-machine", f"virt,gic-version=3,dumpdtb={blob}"]
    command += ["-cpu", "max", "-smp", "2", "-m", "256M", "-display", "none"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    tree = blob.read_bytes()
    end = word(tree, NAMES) + word(tree, NAMES_SIZE)
    return tree[:SIZE] + words(end) + tree[SIZE + 4 : end]


def word(tree: bytes, at: int) -> int:
    return int(struct.unpack_from(">I", tree, at)[0])


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def change(tree: bytes, name: bytes, old: bytes, new: bytes) -> bytes:
    """The tree with another value of the same length in its one property `name` that has `old`.
    A name may be the end of a longer one."""
    assert len(old) == len(new)
    begin = word(tree, NAMES)
    names = [at.start() for at in re.finditer(name + b"\0", tree[begin:])]
    heads = [words(PROPERTY, len(old), at) for at in names]
    (head,) = [head for head in heads if tree.count(head + old) == 1]
    return tree.replace(head + old, head + new)


class OtherConduit:
    """A StopHook: changes PSCI's `method` in the device tree that the first kernel passes on."""

    def __init__(self, old: bytes, new: bytes) -> None:
        self._old, self._new = old, new

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook."""
        if (context.at, context.generation) != ("entry", 1):
            return []
        assert context.boot is not None
        at = context.boot.address("parameters")
        tree = context.ram.read(at, word(context.ram.read(at, SIZE + 4), SIZE))
        context.ram.write(at, change(tree, b"method", self._old, self._new))
        return ["changed the method of PSCI"]


@pytest.mark.parametrize(
    ("extra_qemu", "old", "new", "called"),
    [
        ((), b"hvc\0", b"smc\0", "undefined instruction"),  # there is no EL3 to take it
        (("-machine", "virtualization=on"), b"smc\0", b"hvc\0", "hvc"),  # EL2 takes it itself
    ],
    ids=["el1", "el2"],
)
def test_the_device_tree_chooses_the_call_of_firmware(
    rig: Rig, extra_qemu: tuple[str, ...], old: bytes, new: bytes, called: str
) -> None:
    """QEMU takes HVC from EL1 and SMC from EL2. A tree that says the opposite is obeyed: behind
    TF-A, EL1 has to call by SMC."""
    hooks = [OtherConduit(old, new)]
    result = rig.run("virt", "chain", smp=2, hooks=hooks, extra_qemu=extra_qemu)
    assert result.verdict is Verdict.CRASH, result.cause
    found = result.findings[0]
    assert re.match(rf"panic: {called} at .*(CallPsci|StartCpu)", found.what), found
    assert found.generation == 2


def test_a_cpu_that_firmware_does_not_know_is_left_alone(rig: Rig, tmp_path: Path) -> None:
    """It was never started, so nothing waits for it to be off at the jump."""
    blob = tmp_path / "changed.dtb"
    blob.write_bytes(change(device_tree(tmp_path), b"reg", words(1), words(0x105)))
    extra = ("-dtb", str(blob))
    result = rig.run("virt", "chain", smp=2, memory=256 << 20, stops=(), extra_qemu=extra)
    assert [event["online"] for event in result.events("cpus")] == [1, 1, 1], result.cause
    assert [event["gen"] for event in result.events("jump")] == [1, 2]


def test_cpus_without_an_apic_are_left_alone(rig: Rig) -> None:
    """Firmware names two CPUs, the first has no way to start the other."""
    result = rig.run("q35", "chain", smp=2, stops=(), extra_qemu=("-cpu", "max,-apic"))
    assert [event["online"] for event in result.events("cpus")] == [1, 1, 1], result.cause
    assert [event["ids"] for event in result.events("cpus")] == [["0x0"]] * 3
    assert [event["gen"] for event in result.events("jump")] == [1, 2]
