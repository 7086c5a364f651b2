# SPDX-License-Identifier: BSD-3-Clause
"""Images of small kernels that are assembled and linked here."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

import make_image

BASE = 0xFFFFFFFF80000000
CXXFILT = "/usr/bin/c++filt"
LIMIT = 256 << 10

SOURCE = """\
.section .text
.global _start
.type _start, @function
_start: nop
.type _ZN4base5PanicEPKcz, @function
.global _ZN4base5PanicEPKcz
_ZN4base5PanicEPKcz: nop
.type local, @function
local: nop
not_a_function: nop
.section .rodata
.global _ZN4arch10kImageBaseE
.type _ZN4arch10kImageBaseE, @object
_ZN4arch10kImageBaseE: .quad {base}
.section .symbols, "a", {symbols_type}
.fill {symbols_size}
.section .data, "aw"
.fill {data_size}, 1, 0xda
.section .bss, "aw", @nobits
.fill 4096
"""

SCRIPT = """\
ENTRY(_start)
SECTIONS {{
  . = {base};
  .text : AT(0x100000) {{ *(.text) }}
  .rodata : {{ *(.rodata) }}
  .symbols : {{ *(.symbols) }}
  . = ALIGN(4096);
  .data : {{ *(.data) }}
  .bss : {{ *(.bss) }}
}}
"""


@dataclass(frozen=True)
class Kernel:
    """A kernel to be linked; sizes in bytes."""

    symbols_type: str = "@progbits"
    symbols_size: int = 256
    data_size: int = 16
    source: str = SOURCE

    def link(self, folder: Path) -> Path:
        """Assembles and links it in `folder`."""
        values = {
            "base": BASE,
            "symbols_type": self.symbols_type,
            "symbols_size": self.symbols_size,
            "data_size": self.data_size,
        }
        (folder / "kernel.s").write_text(self.source.format(**values))
        (folder / "kernel.ld").write_text(SCRIPT.format(base=BASE))
        target = "--target=x86_64-linux-gnu"
        subprocess.run(["clang-19", target, "-c", "kernel.s"], cwd=folder, check=True)
        subprocess.run(
            ["ld.lld-19", "--no-pie", "-T", "kernel.ld", "kernel.o", "-o", "kernel"],
            cwd=folder,
            check=True,
        )
        return folder / "kernel"


def read_table(table: bytes) -> list[tuple[int, str]]:
    """Offsets and names, as kernel/cpus/symbols.h describes the table."""
    magic, count = struct.unpack_from("<II", table)
    assert magic == 0x4D59534B
    entries = []
    for index in range(count):
        offset, name = struct.unpack_from("<II", table, 8 + 8 * index)
        entries.append((offset, table[name : table.index(b"\0", name)].decode()))
    return entries


def error_of(kernel: Path) -> str:
    """What is wrong with a kernel."""
    with pytest.raises(make_image.ImageError) as caught:
        make_image.make_image(kernel, CXXFILT, LIMIT)
    return str(caught.value)


def test_table_names_functions_by_address(tmp_path: Path) -> None:
    elf, _ = make_image.make_image(Kernel().link(tmp_path), CXXFILT, LIMIT)
    (tmp_path / "finished").write_bytes(elf)
    with (tmp_path / "finished").open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symbols").data()
    assert len(table) == 256
    assert read_table(table) == [(0, "_start"), (1, "base::Panic"), (2, "local")]


def test_image_is_what_is_loaded(tmp_path: Path) -> None:
    _, image = make_image.make_image(Kernel().link(tmp_path), CXXFILT, LIMIT)
    assert image[:4] == b"\x90" * 4
    assert image[4096:] == b"\xda" * 16  # .data, and nothing of .bss


def test_one_name_for_two_at_one_address(tmp_path: Path) -> None:
    alias = ".type alias, @function\nalias:\n_start:"
    kernel = Kernel(source=SOURCE.replace("_start:", alias, 1)).link(tmp_path)
    with kernel.open("rb") as stream:
        functions = make_image.read_functions(ELFFile(stream), CXXFILT)
    assert [function.offset for function in functions] == [0, 1, 2]


def test_table_without_room_is_refused(tmp_path: Path) -> None:
    assert "3 functions" in error_of(Kernel(symbols_size=40).link(tmp_path))


def test_table_without_bytes_in_the_file_is_refused(tmp_path: Path) -> None:
    source = SOURCE.replace(".section .data", ".section .other").replace(
        ".section .rodata", ".text"
    )
    kernel = Kernel(source=source, symbols_type="@nobits").link(tmp_path)
    assert "NOBITS" in error_of(kernel)


def test_kernel_without_table_is_refused(tmp_path: Path) -> None:
    kernel = Kernel(source=SOURCE.replace(".symbols,", ".others,")).link(tmp_path)
    assert "no section .symbols" in error_of(kernel)


def test_kernel_without_base_is_refused(tmp_path: Path) -> None:
    kernel = Kernel(source=SOURCE.replace("kImageBase", "kOtherName")).link(tmp_path)
    assert "arch::kImageBase" in error_of(kernel)


def test_stripped_kernel_is_refused(tmp_path: Path) -> None:
    kernel = Kernel().link(tmp_path)
    subprocess.run(["strip", kernel], check=True)
    assert ".symtab" in error_of(kernel)


def test_image_over_the_limit_is_refused(tmp_path: Path) -> None:
    assert str(256 << 10) in error_of(Kernel(data_size=256 << 10).link(tmp_path))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a kernel")
    assert "not an ELF file" in error_of(tmp_path / "text")


def test_demangler_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(make_image.ImageError, match="false"):
        make_image.make_image(Kernel().link(tmp_path), "/bin/false", LIMIT)
