# SPDX-License-Identifier: BSD-3-Clause
"""Control registers of an x86_64 machine's CPUs, and what its CPU model has."""

from __future__ import annotations

from typing import Any, Mapping

from khorig.guest.machine import CpuMode, CpuModes
from khorig.mem.untrusted import Untrusted, count, items
from khorig.vm.cpu_state import cpu_blocks, registers_of
from khorig.vm.errors import InfraError
from khorig.vm.qmp import Qmp, QmpClosed

# What the kernel switches on where the CPU has it: bits of CPUID (Intel SDM volume 2, CPUID).
_FEATURES = {
    "LA57": (7, "ECX", 16),
    "SMEP": (7, "EBX", 7),
    "SMAP": (7, "EBX", 20),
    "UMIP": (7, "ECX", 2),
    "PKE": (7, "ECX", 3),
    "NXE": (0x80000001, "EDX", 20),
}
_REGISTERS = ("CR0", "CR4", "EFER")
_PC = ("RIP", "EIP")  # in long mode, and before


def read_modes(qmp: Qmp) -> CpuModes:
    """All CPUs. What QEMU does not tell is named, and no error. Raises QmpClosed, Interrupted."""
    try:
        path = items(qmp.execute("query-cpus-fast"))[0]["qom-path"]
        words = items(qmp.execute("qom-get", path=path, property="feature-words"))
        has = _features([_word(word) for word in words])
        cpus = [_cpu(*block) for block in cpu_blocks(qmp.monitor("info registers -a"))]
    except QmpClosed:
        raise
    except (InfraError, Untrusted, LookupError, TypeError, StopIteration) as error:
        return CpuModes(unread=f"{type(error).__name__}: {error}")
    return CpuModes(tuple(cpus), has)


def _features(words: list[Mapping[str, Any]]) -> frozenset[str]:
    leaves = {
        (count(word["cpuid-input-eax"]), str(word["cpuid-register"])): count(word["features"])
        for word in words
        if "cpuid-input-eax" in word and not word.get("cpuid-input-ecx")
    }
    return frozenset(
        name
        for name, (leaf, register, bit) in _FEATURES.items()
        if leaves.get((leaf, register), 0) >> bit & 1
    )


def _word(word: Any) -> Mapping[str, Any]:
    if not isinstance(word, dict):
        raise Untrusted(f"{word!r} is no object")
    return word


def _cpu(number: int, block: str) -> CpuMode:
    values = registers_of(block)
    pc = next(values[name] for name in _PC if name in values)
    return CpuMode(number, pc, *(values[name] for name in _REGISTERS))
