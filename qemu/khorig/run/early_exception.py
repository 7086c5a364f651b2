# SPDX-License-Identifier: BSD-3-Clause
"""Exceptions that a kernel takes before it has vectors of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from khorig.vm.cpu_state import CpuState

if TYPE_CHECKING:
    from khorig.vm.cpu_memory import CpuMemory

_UPPER_HALF = 1 << 63
_NAMES = {0: "divide error", 6: "invalid opcode", 8: "double fault", 13: "general protection fault"}
_PAGE_FAULT, _VECTORS = 14, 32
# What exc_handler of arch/x86/kernel/relocate_kernel_64.S has on its stack, in words of 64 bits.
_VECTOR, _ERROR, _RIP, _CS, _WORDS = 5, 6, 7, 8, 9
_LARGEST_SELECTOR = 0x1000


@dataclass(frozen=True)
class EarlyException:
    """What it was, and where."""

    what: str
    pc: int | None  # of the instruction, where the handler has kept it


def early_exception(arch: str, state: CpuState, memory: CpuMemory) -> EarlyException | None:
    """Where a CPU is in vectors of the kernel that jumped. Linux's control page halts after an
    exception on x86_64; on arm64 the old vectors are not mapped any more, so that each exception
    takes another one. Raises InfraError."""
    at = memory.physical(state.pc)
    if arch == "arm64":
        if at is not None or state.pc < _UPPER_HALF:
            return None
        what = "exception, to vectors that are not mapped any more"
        return EarlyException(what, None)
    if at != state.pc or not state.halted or state.sp % 8:
        return None
    words = memory.words(state.sp, _WORDS)
    if len(words) < _WORDS or words[_VECTOR] >= _VECTORS or words[_CS] >= _LARGEST_SELECTOR:
        return None
    return EarlyException(_what(words[_VECTOR], words[_ERROR], state), words[_RIP])


def _what(vector: int, error: int, state: CpuState) -> str:
    if vector == _PAGE_FAULT:
        return f"page fault at {state.registers.get('CR2', 0):#018x} (error code {error:#x})"
    code = f" (error code {error:#x})" if error else ""
    return f"{_NAMES.get(vector, f'exception {vector}')}{code}"
