# SPDX-License-Identifier: BSD-3-Clause
"""Places in a Linux and its programs at which a measured run reads the count of instructions."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

from khorig.guest.chain_run import ChainRun
from khorig.guest.spec import RunSpec
from khorig.vm.elf_file import ElfFile

# Functions of Linux, each called once: the jump begins, and the next kernel gets the machine; that
# one takes preserved memory out of what it will free, and frees it.
JUMP, LEAVE = "kernel_kexec", "machine_kexec"
RESERVE, FREE = "kho_memory_init", "memblock_free_all"
# Of linux/user/cost.c.
PRESERVE, PRESERVED = "mark_preserve", "mark_preserved"
RETRIEVE, RETRIEVED, FINISHED = "mark_retrieve", "mark_retrieved", "mark_finished"


def marks_of(spec: RunSpec, elves: Mapping[str, Path]) -> dict[int, dict[str, int]]:
    """The virtual addresses of the marks in each generation, by name; those that a program or a
    kernel does not have are left out."""
    if not isinstance(spec, ChainRun) or not spec.measured:
        return {}
    marks: dict[int, dict[str, int]] = {}
    for generation, name in enumerate(spec.kernels, 1):
        is_first, is_last = generation == 1, generation == spec.generations
        wanted = (*(() if is_last else (JUMP, LEAVE)), *(() if is_first else (RESERVE, FREE)))
        found = _addresses(elves[name], wanted) if name in elves else {}
        for words in spec.programs_of(generation):
            user = (PRESERVE, PRESERVED) if is_first else (RETRIEVE, RETRIEVED, FINISHED)
            found |= _addresses(Path(words[0]), user)
        marks[generation] = found
    return marks


def _addresses(elf: Path, names: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    try:
        file = ElfFile(elf)
    except (OSError, ValueError):
        return found
    for name in names:
        try:
            found[name] = file.symbol(name)
        except ValueError:
            continue
    return found
