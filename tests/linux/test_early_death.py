# SPDX-License-Identifier: BSD-3-Clause
"""Kernels that die between a jump and their first words: the piece that ran is named, and the death
is that of the generation whose code it was."""

from __future__ import annotations

import struct

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.linux.peer import find_peer
from khorig.mem.memory import RamMemory
from khorig.rules.finding import Verdict
from khorig.run.judging import StopContext
from khorig.vm.build_outputs import find_elf
from khorig.vm.elf_file import ElfFile
from khorig.vm.machines import machine_named

_COPIERS = {"x86_64": "swap_pages", "arm64": "arm64_relocate_new_kernel"}
_SAMPLE = 48  # bytes that no other place has
_SPIN = {"x86_64": b"\xeb\xfe", "arm64": struct.pack("<I", 0x1400_0000)}
_UNDEFINED = {"x86_64": b"\x0f\x0b", "arm64": bytes(4)}


def image_of(arch: str, name: str) -> bytes:
    path = find_peer(arch, name).image if name.startswith("linux-") else None
    return (path or find_elf(arch, name).with_suffix(".bin")).read_bytes()


def first_instruction(arch: str, image: bytes) -> int:
    """The offset of a kernel's own code in its image (boot protocols of Linux)."""
    if arch == "x86_64":
        return (image[0x1F1] + 1) * 512 + 0x200
    branch: int = struct.unpack_from("<I", image, 4)[0]
    return 4 + ((branch & 0x3FF_FFFF) << 2)


def plant(context: StopContext, sample: bytes, code: bytes) -> list[str]:
    """Other code wherever memory has the sample."""
    found = []
    for area in RamMemory(context.ram).ranges:
        memory = context.ram.read(area.begin, area.size)
        at = memory.find(sample)
        while at >= 0:
            found.append(area.begin + at)
            at = memory.find(sample, at + 1)
    for address in found:
        context.ram.write(address, code)
    return [f"planted code at {', '.join(map(hex, found))}"]


class PlantedCode:
    """A StopHook: other code at the next kernel's first instruction, wherever it was loaded."""

    def __init__(self, machine: str, kernel: str, code: dict[str, bytes]) -> None:
        arch = machine_named(machine).arch
        image = image_of(arch, kernel)
        at = first_instruction(arch, image)
        self._sample, self._code = image[at : at + _SAMPLE], code[arch]

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook."""
        if (context.at, context.generation) != ("sealed", 1):
            return []
        return plant(context, self._sample, self._code)


class PlantedCopier:
    """A StopHook: a loop in the code that copies the next kernel, in the kernel's text and in the
    pages to which it is copied; of a khorig in the page that it names."""

    def __init__(self, machine: str, kernel: str) -> None:
        self._arch = machine_named(machine).arch
        self._is_linux = kernel.startswith("linux-")
        if self._is_linux:
            elf = ElfFile(find_peer(self._arch, kernel).symbols)
            self._sample = elf.bytes_at(elf.symbol(_COPIERS[self._arch]), _SAMPLE)

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook."""
        if (context.at, context.generation) != ("sealed", 1):
            return []
        if self._is_linux:
            return plant(context, self._sample, _SPIN[self._arch])
        pages = {name: at for name, _, at in context.event.fields["tables"]["pages"]}
        code = _SPIN[self._arch]
        context.ram.write(int(pages["code"], 16), code * (4096 // len(code)))
        return [f"planted code at {pages['code']}"]


def run_planted(
    rig: Rig, machine: str, kernels: tuple[str, str], code: dict[str, bytes]
) -> RigResult:
    hook = PlantedCode(machine, kernels[1], code)
    result = rig.run(machine, kernels=kernels, hooks=(hook,), timeout_s=120.0)
    assert result.findings[0].generation == 2, result
    assert result.generations == 1, "the second kernel had no words"
    return result


@pytest.mark.parametrize(
    "machine, kernels, place",
    [
        ("pc", ("linux-7.3", "linux-7.3"), "kernel+0x200"),
        ("microvm", ("khorig", "linux-7.3"), "kernel+0x200"),
        ("q35", ("linux-7.3", "khorig"), "kernel+0x200"),
        ("virt", ("khorig", "linux-7.3"), "primary_entry+0x0"),
    ],
)
def test_a_loop_before_the_first_words_is_in_a_named_piece(
    rig: Rig, machine: str, kernels: tuple[str, str], place: str
) -> None:
    result = run_planted(rig, machine, kernels, _SPIN)
    assert result.verdict is Verdict.HANG
    assert result.cause.startswith(f"no progress: CPU 0 spins in generation 2's {place}"), result
    assert result.cpus[0].registers


@pytest.mark.parametrize(
    "machine, kernels, cause",
    [
        ("q35", ("khorig", "linux-7.3"), "triple fault) in generation 2's kernel+0x200"),
        ("q35", ("linux-7.3", "linux-7.3"), "invalid opcode: generation 2's kernel+0x200"),
        ("virt", ("linux-7.3", "linux-7.3"), "exception, to vectors that are not mapped any more"),
    ],
)
def test_an_exception_before_the_first_words_is_a_crash_of_that_kernel(
    rig: Rig, machine: str, kernels: tuple[str, str], cause: str
) -> None:
    """What takes it: nobody behind a khorig, the control page behind a Linux on x86_64, which halts
    without a word, and on arm64 vectors that the CPU does not find any more."""
    result = run_planted(rig, machine, kernels, _UNDEFINED)
    assert result.verdict is Verdict.CRASH
    assert cause in result.cause, result
    assert result.cpus[0].registers


@pytest.mark.parametrize(
    "machine, kernel, place",
    [
        ("q35", "linux-7.3", "control page (relocate_kernel)"),
        ("virt", "linux-7.3", "control page (relocate_kernel)"),
        ("q35", "khorig", "relocation code"),
        ("virt", "khorig", "relocation code"),
    ],
)
def test_the_code_that_copies_is_of_the_kernel_that_jumped(
    rig: Rig, machine: str, kernel: str, place: str
) -> None:
    hook = PlantedCopier(machine, kernel)
    result = rig.run(machine, kernels=(kernel, "linux-7.3"), hooks=(hook,), timeout_s=120.0)
    assert (result.verdict, result.findings[0].generation) == (Verdict.HANG, 1), result
    assert f"spins in generation 1's {place}" in result.cause, result
