# SPDX-License-Identifier: BSD-3-Clause
"""Tells from a file's content what it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Callable

from khorig.mem.formats import elf_core, flattened, kdump, lime, zstd_image
from khorig.mem.formats.dump import Dump
from khorig.mem.formats.errors import UnreadableDump
from khorig.mem.formats.magics import HEAD, foreign
from khorig.mem.formats.packing import ZSTD, Packing, packing_of
from khorig.mem.formats.segments import SegmentedMemory
from khorig.mem.formats.sidecar import Sidecar, read_sidecar, sidecar_path
from khorig.mem.formats.source import FileSource, Source
from khorig.mem.formats.unpacked import Progress, no_progress, unpack
from khorig.mem.ram_layouts import RAM_LAYOUTS

_DEVICE_TREE_MAGIC = b"\xd0\x0d\xfe\xed"
_PAGE_SHIFTS = {"4096": 12, "16384": 14, "65536": 16}


def open_dump(path: Path, machine: str | None = None, progress: Progress = no_progress) -> Dump:
    """Opens a file that holds memory: an ELF core, a kdump file, a LiME image, an image of RAM
    (with the description that a run wrote beside it or without), each also compressed; the file
    that a live machine has its RAM in. `machine` names the one of RAM_LAYOUTS that an image without
    description has; without it that is guessed from its content. `progress` is called while a
    file is unpacked.

    Raises UnreadableDump; KeyError for a machine that is not known.
    """
    source = FileSource(path)
    try:
        # Memory may start with anything: what is described is an image whatever it looks like.
        if beside := sidecar_path(path):
            return _open_described(path, source, beside, machine, progress)
        return _open_dump(path, source, machine, progress)
    except ValueError as error:
        source.close()
        raise UnreadableDump(path, str(error)) from error
    except BaseException:
        source.close()
        raise


def _open_dump(path: Path, source: FileSource, machine: str | None, progress: Progress) -> Dump:
    packing = packing_of(_head(source))
    if packing is None:
        return _open_plain(path, source, machine)
    inner = _unpacked(path, source, packing, progress)
    try:
        if twice := packing_of(_head(inner)):
            raise ValueError(f"{twice.name} inside of {packing.name}: unpack it first")
        dump = _open_plain(path, inner, machine)
    except BaseException:
        inner.close()
        raise
    return replace(dump, format=f"{dump.format}, {packing.name}")


def _open_described(
    path: Path, source: FileSource, beside: Path, machine: str | None, progress: Progress
) -> Dump:
    sidecar = read_sidecar(beside) if machine is None else None
    inner: Source = source
    name = "RAM image"
    packing = packing_of(_head(source))
    if packing is ZSTD:
        inner = _unpacked(path, source, packing, progress)
        name += ", zstd"
    try:
        return _open_ram(path, inner, name, machine, sidecar)
    except BaseException:
        inner.close()
        raise


def _unpacked(path: Path, source: FileSource, packing: Packing, progress: Progress) -> Source:
    """The content of a compressed file: piece by piece where its frames are small, else as a
    whole."""
    if packing is ZSTD:
        try:
            return zstd_image.ZstdImage(path, source)
        except zstd_image.LargeFrames:
            pass
    inner = unpack(path, source, packing, progress)
    source.close()
    return inner


def _head(source: Source) -> bytes:
    return bytes(source.view(0, min(HEAD, source.size)))


def _open_plain(path: Path, source: Source, machine: str | None) -> Dump:
    """What is not compressed. Raises ValueError when it is damaged or something else than a
    dump; an image of RAM may look like that when `machine` says that it is one."""
    try:
        if dump := _open_known(path, source):
            return dump
        if what := foreign(_head(source), source.size):
            raise ValueError(what)
    except ValueError:
        if machine is None:
            raise
    return _open_ram(path, source, "RAM image", machine, None)


def _open_known(path: Path, source: Source) -> Dump | None:
    """A dump that says what it is, None when the file is none."""
    head = _head(source)
    if head.startswith(flattened.MAGIC):
        source = flattened.Flattened(source)
        if not _head(source).startswith(kdump.MAGIC):
            raise ValueError("flattened file does not contain a kdump")
        return _open_kdump(path, source)
    return next(
        (opener(path, source) for m, opener in _FORMATS.items() if head.startswith(m)), None
    )


def _open_elf(path: Path, source: Source) -> Dump:
    core = elf_core.read_elf_core(source)
    memory = SegmentedMemory(source, core.regions, core.left_out)
    info = elf_core.parse_vmcoreinfo(core.vmcoreinfo)
    return Dump(
        path,
        "ELF core",
        memory,
        arch=core.arch,
        page_shift=_page_shift(core.arch, info),
        release=info.get("OSRELEASE"),
        lacks_crash_kernel=bool(info) and not core.by_qemu,
        vmcoreinfo=core.vmcoreinfo,
    )


def _open_lime(path: Path, source: Source) -> Dump:
    memory = SegmentedMemory(source, lime.read_lime(source))
    return Dump(path, "LiME image", memory)


def _open_kdump(path: Path, source: Source) -> Dump:
    memory = kdump.KdumpMemory(source)
    why = memory.unreadable()
    if why:
        raise ValueError(f"kdump file whose pages cannot be unpacked: {why}")
    vmcoreinfo = memory.vmcoreinfo()
    info = elf_core.parse_vmcoreinfo(vmcoreinfo)
    name = "kdump, flattened" if isinstance(source, flattened.Flattened) else "kdump"
    notes = elf_core.Notes()
    notes.add(memory.notes(), elf_core.MAX_NOTES)
    return Dump(
        path,
        name,
        memory,
        arch=memory.arch,
        # The pages of the file may be larger than those of the kernel: QEMU uses 64 KiB for arm64.
        page_shift=_page_shift(memory.arch, info),
        release=info.get("OSRELEASE") or memory.release or None,
        lacks_crash_kernel=bool(info) and not notes.by_qemu,
        vmcoreinfo=vmcoreinfo,
    )


_FORMATS: dict[bytes, Callable[[Path, Source], Dump]] = {
    elf_core.MAGIC: _open_elf,
    kdump.MAGIC: _open_kdump,
    lime.MAGIC: _open_lime,
}


def _open_ram(
    path: Path, source: Source, name: str, machine: str | None, sidecar: Sidecar | None
) -> Dump:
    if sidecar:
        return _described(path, source, name, sidecar)
    chosen = machine or guess_machine(source)
    layout = RAM_LAYOUTS[chosen]
    memory = SegmentedMemory(source, layout.regions(source.size))
    return Dump(path, name, memory, layout.arch, chosen, _page_shift(layout.arch, {}))


def _described(path: Path, source: Source, name: str, sidecar: Sidecar) -> Dump:
    if sidecar.size != source.size:
        raise ValueError(
            f"image of {source.size:#x} bytes, but its description says {sidecar.size:#x}"
        )
    memory = SegmentedMemory(source, sidecar.regions)
    shift = sidecar.page_shift or _page_shift(sidecar.arch, {})
    return Dump(path, name, memory, sidecar.arch, sidecar.machine, shift, None, sidecar.run)


def _page_shift(arch: str | None, vmcoreinfo: dict[str, str]) -> int | None:
    if arch == "x86_64":
        return 12
    return _PAGE_SHIFTS.get(vmcoreinfo.get("PAGESIZE", ""))


def guess_machine(source: Source) -> str:
    """Whose RAM an image without description is. QEMU puts the device tree of `virt` at the start
    of its RAM."""
    is_arm64 = bytes(source.view(0, 4)) == _DEVICE_TREE_MAGIC
    arch = "arm64" if is_arm64 else "x86_64"
    return next(name for name, layout in RAM_LAYOUTS.items() if layout.arch == arch)
