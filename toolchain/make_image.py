# SPDX-License-Identifier: BSD-3-Clause
"""Makes a bootable image of a linked kernel.

Fills section `.symbols` with the table of functions (kernel/cpus/symbols.h has its layout), writes
the ELF with it, and the flat image: every byte that the file holds for memory, in the order of the
load addresses. Ends with status 1 and one line that says what is wrong.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, SymbolTableSection

SYMBOL_TABLE_MAGIC = 0x4D59534B  # "KSYM", kSymbolTableMagic
HEADER = struct.Struct("<II")  # SymbolTableHeader: magic, count
ENTRY = struct.Struct("<II")  # SymbolEntry: offset, name_offset
IMAGE_BASE = "_ZN4arch10kImageBaseE"  # arch::kImageBase


class ImageError(Exception):
    """The kernel cannot be made into an image; the text says why."""


@dataclass(frozen=True, order=True)
class Function:
    """One function; `offset` is its distance from arch::kImageBase."""

    offset: int
    name: str


def section_named(elf: ELFFile, name: str) -> Section:
    """Errors: ImageError when the kernel has no such section."""
    section = elf.get_section_by_name(name)
    if section is None:
        raise ImageError(f"the kernel has no section {name}; does its linker script reserve it?")
    return section


def symbols_of(elf: ELFFile) -> SymbolTableSection:
    """The full symbol table. Errors: ImageError when the kernel was stripped."""
    section = section_named(elf, ".symtab")
    assert isinstance(section, SymbolTableSection)
    return section


def read_image_base(elf: ELFFile) -> int:
    """The value of the constant arch::kImageBase. Errors: ImageError when it is not there."""
    for symbol in symbols_of(elf).get_symbol_by_name(IMAGE_BASE) or []:
        section = elf.get_section(symbol["st_shndx"])
        begin = symbol["st_value"] - section["sh_addr"]
        return int.from_bytes(section.data()[begin : begin + 8], "little")
    raise ImageError("the kernel has no arch::kImageBase, or none that it uses")


def demangle(names: list[str], cxxfilt: str) -> list[str]:
    """Names as people write them, without parameters. Errors: ImageError when `cxxfilt` fails."""
    run = subprocess.run(
        [cxxfilt, "--no-params"],
        input="\n".join(names),
        capture_output=True,
        text=True,
        check=False,
    )
    demangled = run.stdout.split("\n")
    if run.returncode != 0 or len(demangled) != len(names):
        raise ImageError(f"{cxxfilt} does not demangle: {run.stderr.strip()}")
    return demangled


def read_functions(elf: ELFFile, cxxfilt: str) -> list[Function]:
    """All functions of the image by address; of several names for one address, the first."""
    base = read_image_base(elf)
    mangled: dict[int, str] = {}
    for symbol in symbols_of(elf).iter_symbols():
        if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF":
            mangled.setdefault(symbol["st_value"] - base, symbol.name)
    if mangled and (min(mangled) < 0 or max(mangled) >= 1 << 32):
        raise ImageError(f"a function lies more than 4 GiB from arch::kImageBase {base:#x}")
    names = demangle(list(mangled.values()), cxxfilt)
    return sorted(Function(offset, name) for offset, name in zip(mangled, names))


def build_table(functions: list[Function], size: int) -> bytes:
    """The table of kernel/cpus/symbols.h, padded to `size`. Errors: ImageError if it is too big."""
    entries = bytearray()
    names = bytearray()
    name_offsets: dict[str, int] = {}
    names_begin = HEADER.size + ENTRY.size * len(functions)
    for function in functions:
        if function.name not in name_offsets:
            name_offsets[function.name] = names_begin + len(names)
            names += function.name.encode() + b"\0"
        entries += ENTRY.pack(function.offset, name_offsets[function.name])
    table = HEADER.pack(SYMBOL_TABLE_MAGIC, len(functions)) + bytes(entries) + bytes(names)
    if len(table) > size:
        raise ImageError(
            f"the table of {len(functions)} functions has {len(table)} bytes, "
            f"section .symbols {size}; "
            "raise SYMBOL_TABLE_BYTES in kernel/arch/image_constants.h"
        )
    return table.ljust(size, b"\0")


def fill_symbols(elf: ELFFile, contents: bytes, cxxfilt: str) -> bytes:
    """The ELF file with its symbol table filled in. Errors: ImageError."""
    section = section_named(elf, ".symbols")
    if section["sh_type"] != "SHT_PROGBITS":
        raise ImageError("section .symbols has no room in the file (type NOBITS)")
    begin, size = section["sh_offset"], section["sh_size"]
    table = build_table(read_functions(elf, cxxfilt), size)
    return contents[:begin] + table + contents[begin + size :]


def flatten(elf: ELFFile, contents: bytes, limit: int) -> bytes:
    """The file's bytes of all loaded segments at their distance from the lowest load address.

    What is zero-initialized at the end is left out. Errors: ImageError when segments overlap, when
    none is loaded, and when the image is over `limit`.
    """
    segments = sorted(
        (segment["p_paddr"], segment["p_offset"], segment["p_filesz"])
        for segment in elf.iter_segments("PT_LOAD")
        if segment["p_filesz"]
    )
    if not segments:
        raise ImageError("the kernel has nothing to load")
    base = segments[0][0]
    size = max(address + length for address, _, length in segments) - base
    if size > limit:
        raise ImageError(f"the image has {size} bytes, more than {limit}")
    image = bytearray()
    for address, offset, length in segments:
        if address - base < len(image):
            raise ImageError(f"the segment at {address:#x} overlaps the one before it")
        image += bytes(address - base - len(image)) + contents[offset : offset + length]
    return bytes(image)


def make_image(kernel: Path, cxxfilt: str, limit: int) -> tuple[bytes, bytes]:
    """The finished ELF file and the flat image of it. Errors: ImageError."""
    contents = kernel.read_bytes()
    with kernel.open("rb") as stream:
        try:
            elf = ELFFile(stream)
            finished = fill_symbols(elf, contents, cxxfilt)
            return finished, flatten(elf, finished, limit)
        except ELFError as error:
            raise ImageError(f"not an ELF file: {error}") from error


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", type=Path, required=True, help="the linked kernel")
    parser.add_argument("--elf", type=Path, required=True, help="where the finished ELF goes")
    parser.add_argument("--image", type=Path, required=True, help="where the flat image goes")
    parser.add_argument("--limit", type=int, required=True, help="the most bytes of the image")
    parser.add_argument("--cxxfilt", default="c++filt", help="the demangler")
    arguments = parser.parse_args()
    try:
        elf, image = make_image(arguments.kernel, arguments.cxxfilt, arguments.limit)
    except ImageError as error:
        print(f"{arguments.kernel}: {error}", file=sys.stderr)
        return 1
    arguments.elf.write_bytes(elf)
    arguments.image.write_bytes(image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
