# SPDX-License-Identifier: BSD-3-Clause
"""Images and archive of a chain of kernels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from khorig.guest.chain_run import ChainRun, is_linux
from khorig.guest.spec import KHORIGS
from khorig.linux.archive import append_archive, build_init, write_archive
from khorig.linux.image import page_shift_of_image
from khorig.linux.peer import Peer, find_peer, list_peers
from khorig.vm.build_outputs import Images, find_elf, find_images
from khorig.vm.errors import InfraError
from khorig.vm.machines.machine import Machine

_PROGRAMS = "programs.cpio"
_PE = b"MZ"  # how an image begins that EFI can load


def must_count(machine: str) -> bool:
    """Whether Linux needs icount on a machine: without a second clock it calibrates the TSC against
    the 8254 only, and hangs if a busy host disturbs that."""
    return machine == "microvm"


def image_of(spec: ChainRun, name: str) -> Path:
    """The image to kexec. Raises InfraError."""
    if not is_linux(name):
        return find_elf(spec.arch, name).with_suffix(".bin")
    if "/" in name:
        path = Path(name)
        if not path.is_file():
            raise InfraError(f"{path}: no such file")
        return path
    return find_peer(spec.arch, name).image


def with_page_sizes(spec: ChainRun) -> ChainRun:
    """The same run with the page size of every Linux, as its image has it. Raises InfraError."""
    shifts = [
        page_shift_of_image(image_of(spec, name)) if is_linux(name) else KHORIGS[name]
        for name in spec.kernels
    ]
    return dataclasses.replace(spec, page_shifts=tuple(shifts))


def make_images(spec: ChainRun, machine: Machine, folder: Path) -> Images:
    """Writes the archive of the chain into `folder`. Raises InfraError if a kernel is not built or
    unreadable."""
    files = {name: image_of(spec, name) for name in dict.fromkeys(spec.kernels)}
    first = spec.kernels[0]
    if spec.boot == "uefi" and is_linux(first):
        _check_stub(machine, files[first], first)
    members: dict[str, bytes] = {}
    if any(map(is_linux, spec.kernels)):
        members["init"] = build_init(_headers_for(spec))
    places = {name: f"images/{number}" for number, name in enumerate(files)}
    for name in dict.fromkeys(spec.kernels[1:]):
        members[places[name]] = _read(files[name])
    for generation, name in list(enumerate(spec.kernels, 1))[1:]:
        text = f"{places[name]}\n{spec.command_line(generation)}\n"
        members[f"hops/{generation}"] = text.encode()
    archive = folder / "archive.cpio"
    if not spec.programs:
        write_archive(archive, members, ("images", "hops"))
    else:
        from khorig.linux.programs import LISTS, program_lists, programs_of

        programs = programs_of(spec)
        write_archive(archive, members | program_lists(spec), ("images", "hops", LISTS))
    if spec.extra_initrd:
        append_archive(archive, Path(spec.extra_initrd))
    if spec.programs and programs.members:  # last, so that links of the initrd are followed
        write_archive(folder / _PROGRAMS, programs.members, programs.folders())
        append_archive(archive, folder / _PROGRAMS)
        (folder / _PROGRAMS).unlink()
    kernel = files[first] if is_linux(first) else find_images(machine, first).kernel
    return Images(kernel=kernel, archive=archive, elves=_elves(spec), kernels=files)


def _check_stub(machine: Machine, kernel: Path, name: str) -> None:
    """Raises InfraError when firmware cannot start this Linux."""
    assert machine.firmware is not None, "the machine refuses to start from firmware"
    machine.firmware.check()
    if not _read(kernel).startswith(_PE):
        what = f"{name} has no EFI stub, so firmware cannot start it: {kernel} is no PE image"
        raise InfraError(what, ("fix: build it with CONFIG_EFI_STUB=y",))


def _elves(spec: ChainRun) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for name in spec.kernels:
        if not is_linux(name):
            paths[name] = find_elf(spec.arch, name)
        elif "/" not in name:
            paths[name] = find_peer(spec.arch, name).symbols
    return {name: path for name, path in paths.items() if path.is_file()}


def _headers_for(spec: ChainRun) -> Peer:
    """The peer whose headers are used to build user space: from the chain, else any."""
    for name in spec.kernels:
        if is_linux(name) and "/" not in name:
            peer = find_peer(spec.arch, name)
            if peer.headers.is_dir():
                return peer
    for peer in list_peers():
        if peer.arch == spec.arch and peer.headers.is_dir():
            return peer
    raise InfraError(
        f"no Linux built for {spec.arch} (its headers are needed for user space)",
        (f"fix: scripts/khorig linux build --arch {spec.arch}",),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InfraError(f"{path}: {error.strerror}") from error
