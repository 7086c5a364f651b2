# SPDX-License-Identifier: BSD-3-Clause
"""Memory of any dump as an ELF core, which other tools open."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from dumps.dump_files import VMCOREINFO, kdump_bytes, used_pages, write_lime, write_packed
from dumps.dump_files import write_elf as write_core
from dumps.sample import Sample
from view.handover_image import MIB, PAGE, RAM

import khorig
from khorig.cli.main import main
from khorig.kho.snapshot import find_snapshot
from khorig.mem.elf_writer import CannotExport, write_elf
from khorig.mem.errors import DecodeError
from khorig.mem.formats import Dump, open_dump
from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import LeftOut, PhysRange
from khorig.rules.check import check, is_broken

_DIRECT_MAP = 0xFFFF_8880_0000_0000


@pytest.fixture(scope="module")
def sample() -> Sample:
    return Sample().finish()


def _packed(sample: Sample, folder: Path) -> Path:
    """As a run keeps its images."""
    path = folder / "gen1.sealed.ram.zst"
    facts = {
        "arch": "x86_64", "machine": "q35", "generation": 1, "at": "sealed",
        "root": hex(sample.image.root),
    }  # fmt: skip
    write_packed(path, sample.image.ram, facts)
    return path


def exported(dump: Dump, folder: Path, arch: str | None = None) -> Path:
    path = folder / "exported.elf"
    write_elf(dump, path, arch)
    return path


def test_what_is_exported_is_the_same(sample: Sample, tmp_path: Path) -> None:
    with open_dump(_packed(sample, tmp_path)) as dump:
        found = write_elf(dump, tmp_path / "core")
        assert found.arch == "x86_64" and found.virtual is None and not found.vmcoreinfo
        pages = used_pages(sample.image.ram)
        assert found.written == len(pages) * PAGE
    with open_dump(tmp_path / "core") as core:
        assert core.format == "ELF core" and core.arch == "x86_64"
        assert core.memory.ranges == tuple(
            PhysRange(r.gpa, r.size) for r in sample.image.ram.regions
        )
        for frame, page in pages.items():
            assert bytes(core.memory.view(frame << 12, PAGE)) == page
        assert not is_broken(check(find_snapshot(core)))
    assert (tmp_path / "core").stat().st_blocks * 512 < found.written + 2 * MIB
    assert not list(tmp_path.glob("*.partial"))


def test_what_was_left_out_is_in_no_segment(sample: Sample, tmp_path: Path) -> None:
    used = used_pages(sample.image.ram)
    lost = {frame for frame in range(RAM.begin >> 12, RAM.end >> 12, 5) if frame not in used}
    assert len(lost) > 2000
    path = tmp_path / "kdump"
    path.write_bytes(kdump_bytes(sample.image.ram, "x86_64", level=31, left_out=lost))
    with open_dump(path) as dump:
        assert sum(r.size for r in dump.memory.left_out()) == len(lost) * PAGE
        core = exported(dump, tmp_path)
    with open_dump(core) as again:
        for frame in (min(lost), max(lost)):
            with pytest.raises(DecodeError):
                again.memory.view(frame << 12, PAGE)
        for frame, page in used.items():
            assert bytes(again.memory.view(frame << 12, PAGE)) == page


def test_what_segments_leave_out(tmp_path: Path) -> None:
    path = tmp_path / "core"
    ram = GuestRam(memoryview(bytearray(2 * MIB)), [RamRegion(0, 2 * MIB, 0)])
    ram.write(5, b"there")
    write_core(path, ram, {"arch": "arm64"})
    raw = bytearray(path.read_bytes())
    struct.pack_into("<QQ", raw, 64 + 56 + 32, MIB, 2 * MIB)  # filesz, memsz
    path.write_bytes(raw)
    with open_dump(path) as dump:
        assert dump.memory.left_out() == [PhysRange(MIB, MIB)]
        with pytest.raises(LeftOut):
            dump.memory.view(MIB, 1)
        found = write_elf(dump, tmp_path / "again")
        assert list(found.ranges) == [PhysRange(0, MIB)] and found.vmcoreinfo == VMCOREINFO


def _with_note(sample: Sample, folder: Path, *infos: bytes) -> Path:
    """LiME of a memory with notes at page starts, as Linux keeps its own."""
    path = folder / "memory.lime"
    write_lime(path, sample.image.ram, {})
    for number, info in enumerate(infos):
        note = struct.pack("<III", 11, len(info), 0) + b"VMCOREINFO\0\0" + info
        with path.open("r+b") as file:
            file.seek(32 + 0x10000 + number * PAGE)
            file.write(note)
    return path


@pytest.mark.parametrize(
    "arch, info, virtual",
    [
        ("x86_64", b"KERNELOFFSET=0\n", _DIRECT_MAP),
        ("x86_64", b"KERNELOFFSET=0\nNUMBER(pgtable_l5_enabled)=1\n", 0xFF11 << 48),
        ("x86_64", b"KERNELOFFSET=2a000000\n", None),
        ("arm64", b"NUMBER(VA_BITS)=48\nNUMBER(PHYS_OFFSET)=0x40000000\n", 0xFFFEFFFFC0000000),
        ("arm64", b"NUMBER(VA_BITS)=many\nNUMBER(PHYS_OFFSET)=0\n", None),
    ],
)  # fmt: skip
def test_vmcoreinfo_is_found_in_memory(
    arch: str, info: bytes, virtual: int | None, sample: Sample, tmp_path: Path
) -> None:
    info = b"OSRELEASE=7.3.4\n" + info
    with open_dump(_with_note(sample, tmp_path, info, info)) as dump:
        found = write_elf(dump, tmp_path / "core", arch)
        assert found.vmcoreinfo == info and found.virtual == virtual
    with open_dump(tmp_path / "core") as core:
        assert core.release == "7.3.4" and core.vmcoreinfo == info
    first = struct.unpack_from("<QQQ", (tmp_path / "core").read_bytes(), 64 + 56 + 8)
    assert first[1] == (virtual or 0) + first[2]


def test_of_two_kernels_neither_is_taken(sample: Sample, tmp_path: Path) -> None:
    with open_dump(_with_note(sample, tmp_path, b"OSRELEASE=1\n", b"OSRELEASE=2\n")) as dump:
        assert write_elf(dump, tmp_path / "core", "arm64").vmcoreinfo == b""


def test_what_cannot_be_exported(sample: Sample, tmp_path: Path) -> None:
    path = _with_note(sample, tmp_path)
    with open_dump(path) as dump:
        with pytest.raises(CannotExport, match="architecture not known, expected x86_64 or arm64"):
            write_elf(dump, tmp_path / "core")
        with pytest.raises(CannotExport, match="is the dump itself"):
            write_elf(dump, path, "arm64")
        with pytest.raises(OSError):
            write_elf(dump, tmp_path / "no" / "core", "arm64")

        def enough(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_elf(dump, tmp_path / "core", "arm64", enough)
    assert [p.name for p in tmp_path.iterdir()] == ["memory.lime"]


def _verb(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["export", *map(str, words)])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_verb(sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """LiME states no architecture; the handover in it does."""
    path, core = _with_note(sample, tmp_path, b"KERNELOFFSET=0\n"), tmp_path / "core"
    assert _verb(path, "--elf", core) == 0
    out = capsys.readouterr().out
    assert "ELF core, x86_64, 65 MiB of RAM" in out and f"{_DIRECT_MAP:#x}" in out
    assert "no VMCOREINFO" not in out
    assert _verb(core, "--elf", core) == 2
    assert "is the dump itself" in capsys.readouterr().err
    assert _verb(path, "--elf", tmp_path / "no" / "core") == 3
    empty = tmp_path / "empty.lime"
    empty.write_bytes(struct.pack("<4sIQQ8x", b"EMiL", 1, 0, PAGE - 1) + bytes(PAGE))
    assert _verb(empty, "--elf", core) == 2
    assert "give --arch" in capsys.readouterr().err
    assert _verb(empty, "--elf", core, "--arch", "arm64") == 0
    assert "no VMCOREINFO in the dump" in capsys.readouterr().out


def test_the_library(sample: Sample, tmp_path: Path) -> None:
    with khorig.open_dump(_packed(sample, tmp_path)) as dump:
        dump.to_elf(tmp_path / "core")
    with khorig.open_dump(tmp_path / "core") as core:
        assert core.format == "ELF core" and len(core.handover.blocks) == len(sample.image.blocks)


def _ran(*words: object) -> str:
    if shutil.which(str(words[0])) is None:
        pytest.skip(f"{words[0]} is not installed")
    process = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    return process.stdout + process.stderr


def _core_of_linux(sample: Sample, folder: Path) -> Path:
    info = b"OSRELEASE=7.3.4-test\nPAGESIZE=4096\nKERNELOFFSET=0\nNUMBER(phys_base)=0\n"
    info += b"SYMBOL(init_uts_ns)=ffffffff82000000\nSYMBOL(swapper_pg_dir)=ffffffff82001000\n"
    info += b"SYMBOL(_stext)=ffffffff81000000\n"
    with open_dump(_with_note(sample, folder, info)) as dump:
        return exported(dump, folder, "x86_64")


def _words(sample: Sample) -> tuple[int, int]:
    first, second = struct.unpack("<QQ", sample.image.ram.read(sample.image.root, 16))
    return first, second


@pytest.mark.parametrize("with_linux", [False, True])
def test_gdb_reads_memory(with_linux: bool, sample: Sample, tmp_path: Path) -> None:
    """By the address in Linux's linear map where that is known, else by the physical one."""
    if with_linux:
        core, base = _core_of_linux(sample, tmp_path), _DIRECT_MAP
    else:
        with open_dump(_packed(sample, tmp_path)) as dump:
            core, base = exported(dump, tmp_path), 0
    at = base + sample.image.root
    out = _ran("gdb", "-nx", "-batch", "-c", core, "-ex", f"x/2gx {at:#x}")
    assert all(f"{word:#018x}" in out for word in _words(sample)), out


def test_crash_reads_the_release(sample: Sample, tmp_path: Path) -> None:
    out = _ran("crash", "--osrelease", _core_of_linux(sample, tmp_path))
    assert out.strip() == "7.3.4-test"


def test_drgn_reads_physical_memory(sample: Sample, tmp_path: Path) -> None:
    core = _core_of_linux(sample, tmp_path)
    script = (
        "import drgn, sys; p = drgn.Program(); p.set_core_dump(sys.argv[1]); "
        "print(p.platform, p.read(int(sys.argv[2]), 16, physical=True).hex())"
    )
    pytest.importorskip("drgn")
    out = _ran(sys.executable, "-c", script, core, sample.image.root)
    assert sample.image.ram.read(sample.image.root, 16).hex() in out, out
