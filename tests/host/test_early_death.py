# SPDX-License-Identifier: BSD-3-Clause
"""Kernels that die between a jump and their first words: whose code ran, and what it is called."""

from __future__ import annotations

import struct
from typing import Any, cast

import pytest
from rig import Rig, Script, event

from khorig.guest.event import GuestEvent
from khorig.mem.guest_ram import GuestRam, OutsideGuestRam
from khorig.rules.finding import Verdict
from khorig.run.early_exception import early_exception
from khorig.run.next_segments import NextSegments
from khorig.run.placed_names import Between, PlacedNames
from khorig.run.running_kernel import RunningKernel
from khorig.run.top_table import own_bits_line
from khorig.vm.cpu_memory import CpuMemory
from khorig.vm.cpu_report import CpuReport, Frame, with_frame
from khorig.vm.cpu_state import CpuState
from khorig.vm.symbols import Symbols

TEXT = 0xFFFF_FFFF_8100_0000
# Of Linux 7.3.4 on q35.
LOG = (
    "kexec_file: kernel: 000000006d8a7c5d kernel_size: 0x3b8c00",
    "kexec-bzImage64: Loaded purgatory at 0x3e7fb000",
    "kexec-bzImage64: Loaded boot_param, command line and misc at 0x3e7f9000 bufsz=0x13e1",
    "kexec-bzImage64: Loaded 64bit kernel at 0x3dc00000 bufsz=0x3b4c00 memsz=0x959000",
    "kexec-bzImage64: Loaded initrd at 0x3d7bc000 bufsz=0x443c2c memsz=0x443c2c",
    "kexec_file: nr_segments = 4",
    "kexec_file: segment[0]: buf=0x00000000a bufsz=0x5000 mem=0x3e7fb000 memsz=0x5000",
    "kexec_file: segment[1]: buf=0x00000000b bufsz=0x13e1 mem=0x3e7f9000 memsz=0x2000",
    "kexec_file: segment[2]: buf=0x00000000c bufsz=0x3b4c00 mem=0x3dc00000 memsz=0x959000",
    "kexec_file: segment[3]: buf=0x00000000d bufsz=0x30 mem=0x3d7bb000 memsz=0x1000",
    "kexec_file: kexec_file_load: type:0, start:0x3e7fb230 head:0x1d01002 flags:0x8",
)
SCRATCH = {"out/scratch_phys": "0x3ac00000\n0x3ec00000\n", "out/scratch_len": "0x3c00000\n0x0\n"}


def told(on: NextSegments | RunningKernel, kind: str, generation: int = 1, **fields: Any) -> None:
    on.on_event(GuestEvent(kind, generation, 0, 0.0, fields))


def loaded(on: NextSegments | RunningKernel) -> None:
    """A Linux that has loaded the next kernel."""
    told(on, "boot")
    for text in LOG:
        told(on, "kernel-log", text=text)
    for file, text in SCRATCH.items():
        told(on, "debugfs", file=file, text=text)


@pytest.mark.parametrize(
    "at, place",
    [
        (0x3E7FB231, "purgatory+0x231"),
        (0x3DC00200, "kernel+0x200"),
        (0x3E7F9000, "parameters+0x0"),
        (0x3D7BB008, "segment+0x8"),
        (0x3AC00010, "scratch+0x10"),
        (0x3E558FFF, "kernel+0x958fff"),
        (0x3E800000, ""),
        (0x1D0450D, ""),
    ],
)
def test_the_log_of_a_linux_names_the_pieces(at: int, place: str) -> None:
    segments = NextSegments()
    loaded(segments)
    assert segments.are_known and segments.describe(at) == place


def test_an_image_that_is_loaded_anew_has_other_pieces() -> None:
    segments = NextSegments()
    loaded(segments)
    told(segments, "kernel-log", text="kexec_file: nr_segments = 1")
    text = "kexec_file: segment[0]: buf=0x0 bufsz=0x1 mem=0x5000 memsz=0x1000"
    told(segments, "kernel-log", text=text)
    assert segments.describe(0x5000) == "segment+0x0"
    assert segments.describe(0x3E7FB000) == "scratch+0x3bfb000", "no old segment"
    told(segments, "boot", 2)
    assert not segments.are_known and segments.describe(0x5000) == ""


@pytest.mark.parametrize(
    "kind, fields",
    [
        ("kernel-log", {}),
        ("kernel-log", {"text": "segment[0]: buf=0x0 bufsz=0x1 mem=0x12345678123456781 memsz=0x1"}),
        ("debugfs", {"file": "out/scratch_phys", "text": "junk"}),
        ("debugfs", {"file": 7, "text": None}),
        ("segments", {"list": [["kernel"], ["kernel", 1, 2], [["x"], "0x1", "0x2"], 5]}),
        ("memory", {"scratch": [[], ["0x1"], "x"]}),
    ],
)
def test_what_makes_no_sense_is_absent(kind: str, fields: dict[str, Any]) -> None:
    segments = NextSegments()
    told(segments, kind, **fields)
    assert not segments.are_known and segments.describe(1) == ""


class Memory:
    def __init__(self, mapped: dict[int, int], words: tuple[int, ...] = ()) -> None:
        self._mapped, self._words = mapped, words

    def physical(self, address: int) -> int | None:
        return self._mapped.get(address)

    def words(self, address: int, count: int) -> list[int]:
        return list(self._words[:count])


@pytest.mark.parametrize("at, generation", [(0x3E7FB231, 2), (0x3AC00010, 2), (0x1D0450D, 1)])
def test_the_control_page_is_of_the_kernel_that_jumped(at: int, generation: int) -> None:
    kernel = RunningKernel(TEXT)
    loaded(kernel)
    told(kernel, "jump")
    memory = cast(CpuMemory, Memory({at: at}))
    assert kernel.decide(CpuState(0, at), memory) == generation


def test_who_jumped_is_known_until_the_next_kernel_has_words() -> None:
    kernel = RunningKernel(TEXT)
    loaded(kernel)
    assert kernel.jumped_from == 0
    told(kernel, "jump")
    assert kernel.jumped_from == 1
    told(kernel, "stop", 2, at="entry")
    assert kernel.jumped_from == 1
    kernel.on_text("[    0.000000] Linux version 7.3.4")
    assert kernel.jumped_from == 0


#         rsi rdx rcx rbx rax vector error rip         cs
STACK = (0, 0, 0, 0, 0, 6, 0, 0x3DC00200, 0x10)


def exception(stack: tuple[int, ...], halted: bool = True, mapped: int = 0x1D0450D) -> Any:
    state = CpuState(0, 0x1D0450D, sp=0x1000, registers={"CR2": 0xBAD}, halted=halted)
    memory = cast(CpuMemory, Memory({0x1D0450D: mapped}, stack))
    return early_exception("x86_64", state, memory)


def test_the_handler_of_the_control_page_keeps_what_happened() -> None:
    found = exception(STACK)
    assert (found.what, found.pc) == ("invalid opcode", 0x3DC00200)
    found = exception((*STACK[:5], 14, 2, 0x3DC00300, 0x10))
    assert found.what == "page fault at 0x0000000000000bad (error code 0x2)"
    assert exception((*STACK[:5], 13, 0x18, 1, 0x10)).what.endswith("fault (error code 0x18)")


@pytest.mark.parametrize(
    "stack, options",
    [
        (STACK, {"halted": False}),
        (STACK, {"mapped": 0x5000}),
        (STACK[:7], {}),
        ((*STACK[:5], 77, 0, 1, 0x10), {}),
        ((*STACK[:8], 0xFFFFFFFF81000000), {}),
    ],
    ids=["runs", "not 1:1", "no stack", "no vector", "no selector"],
)
def test_what_is_no_such_handler(stack: tuple[int, ...], options: dict[str, Any]) -> None:
    assert exception(stack, **options) is None


def test_vectors_that_are_not_mapped_are_left_from_the_last_kernel() -> None:
    at = 0xFFFF_8000_8001_0A00
    nowhere = cast(CpuMemory, Memory({}))
    found = early_exception("arm64", CpuState(0, at), nowhere)
    assert found is not None and found.pc is None and "vectors" in found.what
    assert early_exception("arm64", CpuState(0, at), cast(CpuMemory, Memory({at: 1}))) is None
    assert early_exception("arm64", CpuState(0, 0x200), nowhere) is None


def test_a_handler_has_the_frame_of_what_it_interrupted() -> None:
    cpus = (CpuReport(0, "halted", {}, (Frame(1, "a"), Frame(2, "b"))), CpuReport(1, "", {}, ()))
    first, second = with_frame(cpus, 3, "c")
    assert [frame.where for frame in first.frames] == ["a", "c"] and second == cpus[1]


class Image(Symbols):
    """A kernel of 4 KiB, one function long."""

    def __init__(self, code: bytes) -> None:
        super().__init__()
        self._code = code

    def describe(
        self, pc: int, loaded_at: int | None = None, returns: bool = False, lines: bool = True
    ) -> str:
        return f"{pc:#018x}" if loaded_at is None else f"{pc:#018x} primary+{pc - loaded_at:#x}"

    def code_at(self, pc: int, loaded_at: int, size: int) -> bytes:
        return self._code[pc - loaded_at :][:size]


class Ram:
    def __init__(self, code: bytes) -> None:
        self._code = code

    def read(self, address: int, size: int) -> bytes:
        for begin in (0x3DC00000, 0x3E7FB000):  # kernel, purgatory
            if 0 <= address - begin < len(self._code):
                return self._code[address - begin :][:size]
        raise OutsideGuestRam(address, size)


def test_the_next_kernels_functions_are_named_where_it_lies() -> None:
    """In place of a decompressor there may be the kernel; what tells is what lies there."""
    code = bytes(range(256)) * 16
    segments = NextSegments()
    loaded(segments)
    between = Between(1, False, segments, Symbols(), Image(code))
    changed = code[:0x200] + b"\xeb\xfe" + code[0x202:]
    here, other = (cast(GuestRam, Ram(data)) for data in (changed, bytes(4096)))
    assert between.place(0x3DC00200, here) == "generation 2's primary+0x200"
    assert between.place(0x3DC00000, here) == "generation 2's primary+0x0"
    assert between.place(0x3DC01000, here) == "generation 2's kernel+0x1000"
    assert between.place(0x3DC00200, other) == "generation 2's kernel+0x200"
    assert between.place(0x1D0450D, here) == "generation 1's control page (relocate_kernel)"
    names = PlacedNames(between, here)
    assert names.describe(0x3DC00200) == "0x000000003dc00200 primary+0x200"
    assert names.function(0x3DC00200) == "primary"
    assert names.describe(0x3E7FB230) == "0x000000003e7fb230 purgatory+0x230"
    assert names.function(0x3E7FB230) == ""
    assert PlacedNames(between, other).describe(0x3DC00200).endswith("kernel+0x200")


class Table:
    """RAM with one topmost table at 0x1000."""

    def __init__(self, *entries: int) -> None:
        self._data = struct.pack("<512Q", *entries, *([0] * (512 - len(entries))))

    def read(self, address: int, size: int) -> bytes:
        if address != 0x1000:
            raise OutsideGuestRam(address, size)
        return self._data[:size]


@pytest.mark.parametrize(
    "entries, registers, line",
    [
        ((0x2023, 0x0400_0000_0000_3063), {"CR3": 0x1000, "CR4": 0x1020}, "5 levels"),
        ((0x0400_0000_0000_3063,), {"CR3": 0x8000000000001018, "CR4": 0x20}, "4 levels"),
        ((0x2023, 0x0400_0000_0000_3062), {"CR3": 0x1000}, ""),
        ((0x0400_0000_0000_3063,), {"CR3": 0x2000}, ""),
        ((0x0400_0000_0000_3063,), {}, ""),
    ],
    ids=["second", "of 4 levels", "not present", "outside of RAM", "no register"],
)
def test_bits_of_the_kernel_before_in_the_topmost_table(
    entries: tuple[int, ...], registers: dict[str, int], line: str
) -> None:
    found = own_bits_line(registers, cast(GuestRam, Table(*entries)), 1)
    assert line in found and bool(line) == bool(found)
    assert not line or found.endswith("0x0400000000003063 has software bits of generation 1: 58")


def test_a_reset_behind_a_jump_says_where(rig: Rig) -> None:
    script: Script = [
        event("boot", 1, handover=False, image=["0x200000", "0x300000"]),
        event("segments", 1, list=[["purgatory", "0x800000", "0x100000"], ["x", "0x0", "0x2000"]]),
        event("jump", 1, to="0x800000"),
        ["maps", "0x1000"],
        ["event", ["SHUTDOWN", {"guest": True, "reason": "guest-reset"}]],
        ["sleep", 60],
    ]
    result = rig.run(script, stops=())
    assert (result.verdict, result.findings[0].generation) == (Verdict.CRASH, 2)
    assert result.cause.endswith(" in generation 2's x+0x1000")
