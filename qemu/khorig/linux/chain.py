# SPDX-License-Identifier: BSD-3-Clause
"""A chain of different kernels: which file each generation boots and what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import xxhash

from khorig.guest.spec import RunSpec
from khorig.linux.archive import append_archive, build_init, write_archive
from khorig.linux.peer import Peer, find_peer, list_peers
from khorig.vm.build_outputs import Images, find_elf, find_images
from khorig.vm.errors import InfraError
from khorig.vm.machines.machine import Machine

KHORIG = "khorig"
RESERVED_NAME = "reference"
RESERVED_BYTES = 1 << 20
RESERVED_ALIGNMENT = 1 << 16  # the largest page of all; Linux preserves whole pages only

_U64 = (1 << 64) - 1
_CONSOLE = {"x86_64": "ttyS0,115200", "arm64": "ttyAMA0"}
# A busy host delays the timer; Linux then panics with "IO-APIC + timer doesn't work".
_OWN_OPTIONS = {"x86_64": ("no_timer_check",), "arm64": ()}


def is_linux(name: str) -> bool:
    """Whether a kernel of a chain is some Linux."""
    return name != KHORIG


def must_count(machine: str) -> bool:
    """Whether a Linux needs virtual time counted in instructions there: without a second clock it
    measures the time stamp counter against the 8254 alone, and hangs when a busy host spoils that.
    """
    return machine == "microvm"


def image_of(spec: RunSpec, name: str) -> Path:
    """The file that kexec loads. Raises InfraError."""
    if not is_linux(name):
        return find_elf(spec.arch).with_suffix(".bin")
    if "/" in name:
        path = Path(name)
        if not path.is_file():
            raise InfraError(f"{path}: there is no such file")
        return path
    return find_peer(spec.arch, name).image


def content_state(seed: int, owner: str) -> int:
    """The state of the random numbers for page 0 of an owner (docs/abi.md)."""
    number = xxhash.xxh64_intdigest(owner) & 0xFFFFFFFF
    return (seed + xxhash.xxh64_intdigest("content") + (number << 32)) & _U64


def command_line(spec: RunSpec, generation: int, with_stops: bool = True) -> str:
    """What the kernel of a generation is told."""
    linux = is_linux(spec.kernels[generation - 1])
    words = _linux_words(spec, generation) if linux else _khorig_words(spec, generation)
    stops = ",".join(spec.stops_of(generation)) if with_stops else ""
    if stops:
        words.append(f"khorig.stops={stops}" if linux else f"stops={stops}")
    options = spec.linux_options if linux else spec.extra_options
    return " ".join([*words, *_options_of(options, generation)])


def _options_of(options: Sequence[str], generation: int) -> list[str]:
    """"3:reserve_mem=4M:4096:late" is for generation 3 alone."""
    chosen = []
    for option in options:
        number, _, rest = option.partition(":")
        if not number.isdigit():
            chosen.append(option)
        elif int(number) == generation:
            chosen.append(rest)
    return chosen


def _linux_words(spec: RunSpec, generation: int) -> list[str]:
    words = [
        f"console={_CONSOLE[spec.arch]}",
        *("earlycon", "panic=-1", "kho=on", "liveupdate=on", "retain_initrd"),
        *_OWN_OPTIONS[spec.arch],
        # The same seed is to give the same run; who wants addresses at random says so.
        *(() if "kaslr" in spec.linux_options else ("nokaslr",)),
        f"reserve_mem={RESERVED_BYTES >> 10}K:{RESERVED_ALIGNMENT}:{RESERVED_NAME}",
        f"khorig.generation={generation}",
        f"khorig.generations={spec.generations}",
        f"khorig.content={RESERVED_NAME}:{content_state(spec.seed, RESERVED_NAME):x}",
    ]
    if action := session_action(spec, generation):
        words.append(f"khorig.luo={action}")
    return words


def session_action(spec: RunSpec, generation: int) -> str:
    """What a generation does with the LUO session: the first Linux of a chain makes it, the next
    one takes it back. "" for all others."""
    linuxes = [i for i, name in enumerate(spec.kernels, 1) if is_linux(name)]
    if len(linuxes) < 2 or generation not in linuxes[:2]:
        return ""
    return "create" if generation == linuxes[0] else "retrieve"


def _khorig_words(spec: RunSpec, generation: int) -> list[str]:
    words = [
        "scenario=relay",
        f"generation={generation}",
        f"generations={spec.generations}",
        f"seed={spec.seed}",
    ]
    # In between it owns nothing and hands everything on; at the ends it makes and checks.
    if generation in (1, spec.generations):
        words.append(f"reserve_mem={RESERVED_BYTES >> 10}K:{RESERVED_ALIGNMENT}:{RESERVED_NAME}")
    return words


def make_images(spec: RunSpec, machine: Machine, folder: Path) -> Images:
    """Writes the archive of the chain into `folder`. Raises InfraError when a kernel is not built
    or cannot be read."""
    files = {name: image_of(spec, name) for name in dict.fromkeys(spec.kernels)}
    members: dict[str, bytes] = {}
    if any(map(is_linux, spec.kernels)):
        members["init"] = build_init(_headers_for(spec))
    places = {name: f"images/{number}" for number, name in enumerate(files)}
    for name in dict.fromkeys(spec.kernels[1:]):
        members[places[name]] = _read(files[name])
    for generation, name in list(enumerate(spec.kernels, 1))[1:]:
        text = f"{places[name]}\n{command_line(spec, generation)}\n"
        members[f"hops/{generation}"] = text.encode()
    archive = folder / "archive.cpio"
    write_archive(archive, members, ("images", "hops"))
    if spec.extra_initrd:
        append_archive(archive, Path(spec.extra_initrd))
    first = spec.kernels[0]
    kernel = files[first] if is_linux(first) else find_images(machine).kernel
    return Images(kernel=kernel, archive=archive, elf=find_elf(spec.arch))


def _headers_for(spec: RunSpec) -> Peer:
    """The peer whose headers the user space is built with: one of the chain, else any."""
    for name in spec.kernels:
        if is_linux(name) and "/" not in name:
            peer = find_peer(spec.arch, name)
            if peer.headers.is_dir():
                return peer
    for peer in list_peers():
        if peer.arch == spec.arch and peer.headers.is_dir():
            return peer
    raise InfraError(
        f"no Linux for {spec.arch} is built, and its user space needs the headers of one",
        (f"build it: scripts/khorig linux build --arch {spec.arch}",),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InfraError(f"{path}: {error.strerror}") from error


