# SPDX-License-Identifier: BSD-3-Clause
"""An opened dump."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Sequence

from khorig.mem.memory import PhysicalMemory, PhysRange


PAGE_SHIFTS = (12, 14, 16)  # of the kernels that there are


class DumpMemory(PhysicalMemory, Protocol):
    """Memory that lies in a file."""

    def data(self) -> Sequence[PhysRange]:
        """The parts of `ranges` that the file has bytes for, ascending; all others read as zeros.
        What walks over all of memory walks over these, so its time follows the data."""

    def left_out(self) -> Sequence[PhysRange]:
        """The parts of `ranges` that the file lacks although they may be other than zero,
        ascending; a view of them raises LeftOut. Raises ValueError when there are too many."""

    def forget(self) -> None:
        """Gives back the memory that was taken to answer `view`, but for views that are still held.
        Whoever reads much calls it now and then."""

    def close(self) -> None:
        """Closes the file; views that are still held stay valid."""


@dataclass(frozen=True)
class RunFacts:
    """What the run that wrote an image says about it."""

    generation: int
    at: str  # the stop: "sealed", "entry", "restored", or "end"
    root: int | None  # physical address of the last root that the guest named
    parameters: int | None = None  # physical address the generation was booted with
    scratch: tuple[PhysRange, ...] = ()
    frame_table: tuple[int, int, int] | None = None  # address, first frame, frames


@dataclass(frozen=True, eq=False)
class Dump:
    """Memory and what the file says about where it comes from. A context manager."""

    path: Path
    format: str  # for people: "ELF core", "kdump, zlib", "RAM image, zstd"
    memory: DumpMemory
    arch: str | None = None  # "x86_64" or "arm64"
    machine: str | None = None
    page_shift: int | None = None  # where the file or its description states it
    release: str | None = None  # of the kernel that was running, where the file names it
    run: RunFacts | None = None
    lacks_crash_kernel: bool = False  # Linux wrote it, without the memory of its crash kernel
    vmcoreinfo: bytes = b""  # Linux's description of itself, where the file has it

    def __enter__(self) -> Dump:
        return self

    def __exit__(self, *_: object) -> None:
        self.memory.close()
