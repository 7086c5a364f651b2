# SPDX-License-Identifier: BSD-3-Clause
"""Addresses in khorig's own kernels, where they are linked to and where they are loaded."""

from __future__ import annotations

import pytest

from khorig.vm.build_outputs import find_elf
from khorig.vm.elf_file import ElfFile
from khorig.vm.symbols import Symbols


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_functions_have_names_files_and_lines(arch: str) -> None:
    elf = find_elf(arch)
    begin = ElfFile(elf).symbol("__image_begin")
    panic = ElfFile(elf).symbol("_ZN4base5PanicEPKcz")
    symbols = Symbols(elf)
    linked = symbols.describe(panic)
    assert linked.startswith(f"{panic:#018x} base::Panic+0x0 (kernel/cpus/panic.cc:"), linked
    loaded = panic - begin + 0x4200000
    place = linked.partition(" ")[2]
    assert symbols.describe(loaded, loaded_at=0x4200000) == f"{loaded:#018x} {place}"
    assert symbols.describe(loaded) == f"{loaded:#018x}"
    assert symbols.describe(panic, loaded_at=0x4200000) == linked
