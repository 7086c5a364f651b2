# SPDX-License-Identifier: BSD-3-Clause
"""Addresses get the names of their own kernel, with file and line where its ELF has them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tiny_vmlinux import TEXT, build

from khorig.guest.chain_run import ChainRun
from khorig.guest.spec import KHORIG
from khorig.vm.symbols import Symbols
from khorig.vm.symbols_by_generation import SymbolsByGeneration


def address_of(elf: Path, name: str) -> int:
    """What nm says."""
    lines = subprocess.run(["nm", str(elf)], capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[0], 16) for line in lines.splitlines() if line.endswith(name))


def test_a_linux_has_function_file_and_line(tmp_path: Path) -> None:
    elf = build(tmp_path, "-g")
    jump = address_of(elf, " machine_kexec")
    symbols = Symbols(elf)
    assert symbols.describe(jump) == f"{jump:#018x} machine_kexec+0x0 (kernel/jump.c:2)"
    assert symbols.describe(TEXT) == f"{TEXT:#018x} start_kernel+0x0 (init/main.c:3)"
    code = address_of(elf, " entry_code")
    assert symbols.describe(code + 2) == f"{code + 2:#018x} entry_code+0x2"  # no line of assembly


def test_the_line_of_a_return_address_is_that_of_the_call(tmp_path: Path) -> None:
    elf = build(tmp_path, "-g")
    call = address_of(elf, " start_kernel") + 4  # behind push and mov, five bytes long
    symbols = Symbols(elf)
    assert symbols.describe(call + 5).endswith("start_kernel+0x9 (init/main.c:5)")
    assert symbols.describe(call + 5, returns=True).endswith("start_kernel+0x9 (init/main.c:4)")


def test_an_inlined_function_is_named(tmp_path: Path) -> None:
    elf = build(tmp_path, "-g")
    halt = address_of(elf, " native_halt")
    assert Symbols(elf).describe(halt + 4) == (
        f"{halt + 4:#018x} native_halt+0x4 (kernel/jump.c:4, cpu_stop)"
    )


def test_a_name_that_cannot_be_read_is_cut(tmp_path: Path) -> None:
    name = "_Z" + 100 * "x"
    elf = build(tmp_path, f"-Dmachine_kexec={name}")
    jump = address_of(elf, f" {name}")
    assert Symbols(elf).describe(jump) == f"{jump:#018x} {name[:60]}...+0x0"


def test_without_debug_information_there_is_no_line(tmp_path: Path) -> None:
    elf = build(tmp_path)
    jump = address_of(elf, " machine_kexec")
    assert Symbols(elf).describe(jump + 3) == f"{jump + 3:#018x} machine_kexec+0x3"


def test_without_addr2line_there_is_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elf = build(tmp_path, "-g")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Symbols(elf).describe(TEXT) == f"{TEXT:#018x} start_kernel+0x0"


def test_an_address_outside_of_the_text_stands_alone(tmp_path: Path) -> None:
    elf = build(tmp_path, "-g")
    symbols = Symbols(elf)
    for address in (0, TEXT - 1, address_of(elf, " counter"), (1 << 64) - 1):
        assert symbols.describe(address) == f"{address:#018x}"
    assert Symbols().describe(TEXT) == f"{TEXT:#018x}"


def test_each_generation_has_the_symbols_of_its_own_kernel(tmp_path: Path) -> None:
    elf = build(tmp_path)
    kernels = ("linux-7.3", "/images/bzImage", KHORIG, "linux-7.2")
    spec = ChainRun("x86_64", "q35", kernels=kernels)
    by = SymbolsByGeneration(spec, {"linux-7.3": elf, "linux-7.2": tmp_path / "gone"})
    assert by.of(1).describe(TEXT).endswith("start_kernel+0x0")
    for generation in (0, 2, 3, 4, 5):
        assert by.of(generation).describe(TEXT) == f"{TEXT:#018x}", generation
