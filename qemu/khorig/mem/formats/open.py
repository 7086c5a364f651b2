# SPDX-License-Identifier: BSD-3-Clause
"""Tells from a file's content what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from khorig.mem.formats import elf_core, flattened, kdump, zstd_image
from khorig.mem.formats.dump import Dump
from khorig.mem.formats.errors import UnreadableDump
from khorig.mem.formats.segments import SegmentedMemory
from khorig.mem.formats.sidecar import Sidecar, read_sidecar, sidecar_path
from khorig.mem.formats.source import MappedFile, Source
from khorig.mem.ram_layouts import RAM_LAYOUTS

_HEAD = 16
_DEVICE_TREE_MAGIC = b"\xd0\x0d\xfe\xed"
_PAGE_SHIFTS = {"4096": 12, "16384": 14, "65536": 16}


def open_dump(path: Path, machine: str | None = None) -> Dump:
    """Opens a file that holds memory: an ELF core, a kdump file, an image of RAM (packed or not,
    with the description that a run wrote beside it or without), the file that a live machine has
    its RAM in. `machine` names the one of RAM_LAYOUTS that an image without description has;
    without it that is guessed from its content.

    Raises UnreadableDump; KeyError for a machine that is not known.
    """
    source = MappedFile(path)
    try:
        # Memory may start with anything: what is described is an image whatever it looks like.
        if sidecar_path(path):
            return _open_image(path, source, machine)
        try:
            return _open_dump(path, source) or _open_image(path, source, machine)
        except ValueError:
            if machine is None:
                raise
            return _open_image(path, source, machine)
    except ValueError as error:
        source.close()
        raise UnreadableDump(path, str(error)) from error
    except BaseException:
        source.close()
        raise


def _open_dump(path: Path, file: Source) -> Dump | None:
    """A core or a kdump file, None when it is neither. Raises ValueError when it is damaged."""
    head = bytes(file.view(0, min(_HEAD, file.size)))
    if head.startswith(flattened.MAGIC):
        file = flattened.Flattened(file)
        head = bytes(file.view(0, min(_HEAD, file.size)))
    for magic, opener in _FORMATS.items():
        if head.startswith(magic):
            return opener(path, file)
    if isinstance(file, flattened.Flattened):
        raise ValueError("a flattened file of something else than kdump")
    return None


def _open_elf(path: Path, source: Source) -> Dump:
    core = elf_core.read_elf_core(source)
    memory = SegmentedMemory(source, core.regions, core.left_out)
    info = core.vmcoreinfo
    return Dump(
        path,
        "ELF core",
        memory,
        arch=core.arch,
        page_shift=_page_shift(core.arch, info),
        release=info.get("OSRELEASE"),
        lacks_crash_kernel=bool(info) and not core.by_qemu,
    )


def _open_kdump(path: Path, source: Source) -> Dump:
    memory = kdump.KdumpMemory(source)
    why = memory.unreadable()
    if why:
        raise ValueError(f"a kdump file whose pages cannot be unpacked: {why}")
    info = elf_core.parse_vmcoreinfo(memory.vmcoreinfo())
    name = "kdump, flattened" if isinstance(source, flattened.Flattened) else "kdump"
    notes = {note for note, _ in elf_core.notes_in(memory.notes())}
    return Dump(
        path,
        name,
        memory,
        arch=memory.arch,
        # The pages of the file may be larger than those of the kernel: QEMU uses 64 KiB for arm64.
        page_shift=_page_shift(memory.arch, info),
        release=info.get("OSRELEASE") or memory.release or None,
        lacks_crash_kernel=bool(info) and elf_core.QEMU_NOTE not in notes,
    )


_FORMATS: dict[bytes, Callable[[Path, Source], Dump]] = {
    elf_core.MAGIC: _open_elf,
    kdump.MAGIC: _open_kdump,
}


def _open_image(path: Path, source: MappedFile, machine: str | None) -> Dump:
    if bytes(source.view(0, min(_HEAD, source.size))).startswith(zstd_image.MAGIC):
        image = zstd_image.ZstdImage(path, source)
        try:
            return _open_ram(path, image, "RAM image, zstd", machine)
        except BaseException:
            image.close()
            raise
    return _open_ram(path, source, "RAM image", machine)


def _open_ram(path: Path, source: Source, name: str, machine: str | None) -> Dump:
    beside = sidecar_path(path)
    sidecar = read_sidecar(beside) if beside and machine is None else None
    if sidecar:
        return _described(path, source, name, sidecar)
    chosen = machine or guess_machine(source)
    layout = RAM_LAYOUTS[chosen]
    memory = SegmentedMemory(source, layout.regions(source.size))
    return Dump(path, name, memory, layout.arch, chosen, _page_shift(layout.arch, {}))


def _described(path: Path, source: Source, name: str, sidecar: Sidecar) -> Dump:
    if sidecar.size != source.size:
        raise ValueError(
            f"{source.size:#x} bytes of RAM, but its description says {sidecar.size:#x}"
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
