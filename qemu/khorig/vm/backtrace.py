# SPDX-License-Identifier: BSD-3-Clause
"""Backtraces of a guest's CPUs."""

from __future__ import annotations

from khorig.vm.cpu_memory import CpuMemory
from khorig.vm.cpu_report import CpuReport, Frame
from khorig.vm.cpu_state import CpuState
from khorig.vm.errors import InfraError
from khorig.vm.guest_names import GuestNames

_FRAMES = 24
_STACK_WORDS = 512  # of a stack that has no frame pointers
_STACK_FRAMES = 12
_KERNEL_BITS = 0xFFFF << 48
_SIGN = 1 << 55  # what pointer authentication leaves of the upper half's bits


def report_cpu(state: CpuState, memory: CpuMemory, names: GuestNames) -> CpuReport:
    """Registers and backtrace of one CPU. Frames are the guest's words: bounded, and only taken as
    far as they ascend. What could not be read is in `error`."""
    frames: list[Frame] = []
    error = ""
    try:
        if state.is_on:
            error = _walk(state, memory, names, frames)
    except InfraError as failure:
        error = f"backtrace: {failure.what}"
    return CpuReport(state.number, state.summary, state.registers, tuple(frames), error)


def _walk(state: CpuState, memory: CpuMemory, names: GuestNames, frames: list[Frame]) -> str:
    """Appends frames; returns why they end early, or ""."""
    frames.append(Frame(state.pc, names.describe(state.pc)))
    if state.user:
        return ""
    chain, error = _chain(state, memory)
    named = [pc for pc in chain if names.function(pc - 1)]
    if link := _link(state, chain, names):
        chain.insert(0, link)
    if named or not names.function(state.pc):
        frames += [Frame(pc, names.describe(pc, returns=True)) for pc in chain]
        return error
    # No function of the kernel called this one: its compiler keeps no frame pointers.
    frames += [
        Frame(pc, names.describe(pc, returns=True), found_on_stack=True)
        for pc in _on_stack(state, memory, names)
    ]
    return ""


def _chain(state: CpuState, memory: CpuMemory) -> tuple[list[int], str]:
    """Return addresses by frame pointers."""
    chain: list[int] = []
    frame = state.frame
    while frame and len(chain) < _FRAMES:
        if frame % 8:
            return chain, f"no frame at {frame:#018x}"
        words = memory.words(frame, 2)
        if len(words) != 2:
            return chain, f"frame at {frame:#018x} is not mapped"
        above, pc = words[0], unsigned_pointer(words[1])
        if pc == 0:
            break
        chain.append(pc)
        if above <= frame:  # stacks grow downwards, so a caller's frame lies above
            break
        frame = above
    return chain, ""


def _link(state: CpuState, chain: list[int], names: GuestNames) -> int:
    """The caller of a function that made no frame, by arm64's link register, or 0."""
    link = unsigned_pointer(state.registers.get("X30", 0))
    if link in (0, state.pc, *chain[:1]) or not names.function(link - 1):
        return 0
    inside = names.function(link - 1) == names.function(state.pc)
    return 0 if inside else link  # the function has called another, and made its frame before that


def _on_stack(state: CpuState, memory: CpuMemory, names: GuestNames) -> list[int]:
    """Words of the stack that lie behind the begin of a function."""
    if state.sp % 8:
        return []
    words = memory.words(state.sp, _STACK_WORDS)
    return [word for word in words if names.function(word - 1)][:_STACK_FRAMES]


def unsigned_pointer(pc: int) -> int:
    """A return address without the signature of arm64's pointer authentication."""
    if pc >> 48 in (0, 0xFFFF):
        return pc
    return pc | _KERNEL_BITS if pc & _SIGN else pc & ~_KERNEL_BITS
