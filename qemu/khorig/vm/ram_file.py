# SPDX-License-Identifier: BSD-3-Clause
"""Guest RAM: what a run asks QEMU for, and the files that have it."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from dataclasses import dataclass
from typing import Callable, Sequence

from khorig.guest.spec import RunSpec
from khorig.mem.guest_ram import GuestRam, RamRegion, SparseFiles
from khorig.vm.errors import InfraError

# Upper bound of RAM touched by a run. The file is sparse: requiring space for all RAM would refuse
# large guests that run fine.
_TOUCHED_AT_MOST = 512 << 20
_MAP_FIXED = 0x10  # of Linux, x86_64 and arm64


@dataclass(frozen=True)
class RamBackend:
    """A memory backend of QEMU, whose first byte is at `offset` of the rig's files."""

    name: str
    size: int
    node: int | None = None  # the NUMA node that it is
    offset: int = 0


@dataclass(frozen=True)
class RamSpec:
    """RAM in one backend, or in one for each NUMA node with memory."""

    size: int
    nodes: tuple[int, ...]  # bytes of each; without any there is no NUMA
    # Whether RAM lies where the machine's table has it: no option could have moved it.
    is_plain: bool

    @property
    def backends(self) -> tuple[RamBackend, ...]:
        """Those of QEMU, by address."""
        if not self.nodes:
            return (RamBackend("ram", self.size),)
        return tuple(
            RamBackend(f"ram{node}", size, node, sum(self.nodes[:node]))
            for node, size in enumerate(self.nodes)
            if size
        )


def ram_spec(spec: RunSpec) -> RamSpec:
    """The RAM of a run."""
    return RamSpec(
        spec.memory, spec.numa, is_plain=not (spec.numa or spec.machine_options or spec.extra_qemu)
    )


@dataclass(frozen=True)
class RamMap:
    """Where RAM is."""

    regions: tuple[RamRegion, ...]  # ascending, not adjacent in both guest and files
    # One or more for each backend, with the begin of each in the addresses that QEMU's
    # qemu_plugin_hwaddr_phys_addr reports before QEMU 8.2.
    pieces: tuple[tuple[RamRegion, int], ...]


def assumed(regions: Sequence[RamRegion]) -> RamMap:
    """The map of a machine that is as its table says, with one backend."""
    # QEMU's block of RAM begins where its first region does (`info mtree -f`).
    pieces = tuple((region, regions[0].gpa + region.offset) for region in regions)
    return RamMap(tuple(regions), pieces)


def free_bytes(directory: str) -> int:
    """Free bytes in the file system of `directory`; 0 if it does not exist."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize


class RamFile:
    """Guest RAM in sparse files without a name, mapped here one behind the other and shared with
    QEMU by descriptor: one file, or one for each NUMA node, because each is a memory backend of its
    own (memory-backend-file has an offset only from QEMU 8.1 on). Offsets are from the begin of the
    first.

    They lie in /dev/shm, or in $TMPDIR when that has no room. Without a name they are gone
    with the last process that holds them, however that process ends. Raises InfraError when neither
    directory has room.
    """

    def __init__(
        self, size: int, room: Callable[[str], int] = free_bytes, nodes: Sequence[int] = ()
    ) -> None:
        """`size`: bytes; `room`: free bytes of a directory; `nodes`: bytes of each NUMA node that
        has memory, whole pages, together `size`."""
        self.size = size
        sizes = tuple(nodes) or (size,)
        self.directory = _directory_with_room(min(size, _TOUCHED_AT_MOST), room)
        self._opened = contextlib.ExitStack()
        try:
            files = [self._make(bytes_of_one) for bytes_of_one in sizes]
            self._map = mmap.mmap(files[0], size) if len(files) == 1 else _joined(files, sizes)
        except OSError as error:
            self._opened.close()
            what = f"cannot allocate {size} bytes of guest RAM in {self.directory}: {error}"
            raise InfraError(what) from error
        self._files = SparseFiles(list(zip(files, sizes)))
        self.descriptors = tuple(files)  # inherited by QEMU
        self._open: list[GuestRam] = []

    def __enter__(self) -> RamFile:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for ram in self._open:
                ram.close()
            self._map.close()
        except BufferError:
            pass  # a view exists; the memory is freed with it
        self._opened.close()

    def _make(self, size: int) -> int:
        file = self._opened.enter_context(tempfile.TemporaryFile(dir=self.directory, buffering=0))
        os.ftruncate(file.fileno(), size)
        return file.fileno()

    def guest_ram(self, regions: Sequence[RamRegion]) -> GuestRam:
        """The files by guest-physical address; valid until exit of this context."""
        ram = GuestRam(memoryview(self._map), regions, self._files)
        self._open.append(ram)
        return ram

    def extents(self) -> list[tuple[int, int]]:
        """(offset, size) of written data; the rest is holes."""
        return list(self._files.extents())

    def pread(self, size: int, offset: int) -> bytes:
        """Bytes by file offset, without touching holes."""
        return self._files.pread(size, offset)


def _joined(files: Sequence[int], sizes: Sequence[int]) -> mmap.mmap:
    """One mapping of several files, so that what spans two of them is one row of bytes."""
    import ctypes  # few runs have several

    joined = mmap.mmap(-1, sum(sizes))  # its pages are replaced below, and unmapped with it
    at = ctypes.addressof(ctypes.c_char.from_buffer(joined))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    wide = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    libc.mmap.argtypes = wide
    how = mmap.MAP_SHARED | _MAP_FIXED
    for file, size in zip(files, sizes):
        if libc.mmap(at, size, mmap.PROT_READ | mmap.PROT_WRITE, how, file, 0) != at:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        at += size
    return joined


def _directory_with_room(needed: int, room: Callable[[str], int]) -> str:
    directories = ["/dev/shm", tempfile.gettempdir()]
    for directory in directories:
        if os.access(directory, os.W_OK) and room(directory) >= needed:
            return directory
    raise InfraError(
        f"no space left for guest RAM: {needed >> 20} MiB needed",
        tuple(
            f"{d}: {room(d) >> 20} MiB free" + ("" if os.access(d, os.W_OK) else ", not writable")
            for d in directories
        ),
    )
