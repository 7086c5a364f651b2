# SPDX-License-Identifier: BSD-3-Clause
"""A user's programs in the archive of a chain, with all that they need."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_programs import DIRECTORY, FILE, HERE, LINK, OTHER, archive, elf, entry, program

from khorig.guest.chain_run import ChainRun
from khorig.guest.program import program_words
from khorig.linux import chain
from khorig.linux.initrd import read_initrd
from khorig.linux.program_file import read_program
from khorig.linux.programs import Programs, find_programs, program_lists, programs_of
from khorig.vm.build_outputs import Images
from khorig.vm.errors import InfraError
from khorig.vm.machines import machine_named


def added(path: str, initrd: str = "") -> Programs:
    return find_programs([(path,)], initrd)


def test_a_static_program_is_added_at_its_path(tmp_path: Path) -> None:
    for arch in (HERE, OTHER):
        path = program(tmp_path, elf(arch))
        found = added(path)
        assert found.members == {path[1:]: elf(arch)} and list(found.archs) == [arch]
        assert str(tmp_path)[1:] in found.folders() and found.folders()[0] == path.split("/")[1]


def test_a_link_keeps_its_name(tmp_path: Path) -> None:
    program(tmp_path, elf(), "busybox")
    (tmp_path / "ls").symlink_to("busybox")
    assert added(f"{tmp_path}/ls").members == {f"{tmp_path}/ls"[1:]: elf()}


def test_a_dynamic_program_comes_with_loader_and_libraries(tmp_path: Path) -> None:
    """All of them and nothing of the initrd's."""
    found = added("/bin/sh")
    loader = read_program(Path("/bin/sh")).interpreter
    assert loader[1:] in found.members and list(found.archs) == [HERE]
    assert any(os.path.basename(name).startswith("libc.so") for name in found.members)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(archive(entry(loader[1:])))  # no folder of it: a file is enough here
    folders = [entry(str(p)[1:], DIRECTORY) for p in reversed(Path(loader).parents) if p.name]
    initrd.write_bytes(archive(*folders, entry(loader[1:])))
    assert list(added("/bin/sh", str(initrd)).members) == ["bin/sh"]


def test_a_library_beside_its_program_stays_beside_it(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "bin").mkdir()
    library, path = tmp_path / "lib/libmine.so", tmp_path / "bin/main"
    cc = ["clang-19", "-x", "c", "-"]
    subprocess.run([*cc, "-shared", "-o", library], input=b"int f(void) { return 0; }", check=True)
    words = [*cc, "-L", str(library.parent), "-lmine", "-Wl,-rpath,$ORIGIN/../lib", "-o", str(path)]
    subprocess.run(words, input=b"int f(void); int main(void) { return f(); }", check=True)
    found = added(str(path))
    assert str(library)[1:] in found.members
    library.unlink()
    with pytest.raises(InfraError) as error:
        added(str(path))
    assert f"{path} for {HERE}: " in error.value.what and "libmine.so" in error.value.what


def test_a_script_comes_with_its_interpreter(tmp_path: Path) -> None:
    path = program(tmp_path, b"#! /bin/sh -e\necho\n")
    found = added(path)
    assert path[1:] in found.members and "bin/sh" in found.members and list(found.archs) == [HERE]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "neither a program (ELF) nor a script (#!)"),
        (b"text", "neither a program (ELF) nor a script (#!)"),
        (b"#!", "no interpreter with an absolute path"),
        (b"#!sh\n", "no interpreter with an absolute path"),
        (b"#!/usr/bin/env python3\n", "searches $PATH"),
        (b"#!/no/shell\n", "a script: /no/shell: no such file"),
        (elf()[:40], "truncated ELF file"),
        (elf()[:100], "truncated ELF file"),
        (elf()[:32] + b"\xff" * 8 + elf()[40:], "truncated ELF file"),
        (b"\x7fELF\x01\x01" + elf()[6:], "not a 64-bit little-endian program"),
        (elf("mips"), "for ELF machine 8, expected one of x86_64, arm64"),
        (elf(kind=1), "not an executable (ELF type 1"),
        (elf(loader="ld.so.1"), "its dynamic loader is 'ld.so.1'"),
        (elf(loader="/bin/sh"), "/bin/sh is no known dynamic loader"),
        (elf(OTHER, "/none/ld-linux.so.9"), f"for {OTHER}: its dynamic loader /none/ld-linux.so.9"),
    ],
)
def test_what_cannot_be_run_is_named(tmp_path: Path, data: bytes, why: str) -> None:
    path = program(tmp_path, data)
    with pytest.raises(InfraError) as error:
        added(path)
    assert why in error.value.what and path in error.value.what


def test_a_loader_of_another_architecture_is_not_run(tmp_path: Path) -> None:
    """Nor is what does not run at all."""
    loader = program(tmp_path, elf(OTHER), "ld-mine.so.1")
    for arch, why in ((HERE, f"is for {OTHER} here"), (OTHER, "ld-mine.so.1")):
        with pytest.raises(InfraError) as error:
            added(program(tmp_path, elf(arch, loader)))
        assert why in error.value.what and f"for {arch}: " in error.value.what
        assert error.value.evidence[0].startswith("fix: link it statically")


def test_files_that_are_no_programs_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, why in (
        (program(tmp_path, elf(), mode=0o644), "not executable"),
        (str(tmp_path), "not a regular file"),
        (str(tmp_path / "pipe"), "not a regular file"),
        (str(tmp_path / "none"), "no such file"),
        ("/proc/self/exe", "/proc is the rig's in a Linux"),
    ):
        with pytest.raises(InfraError, match=why.replace("$", "[$]")):
            added(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.integers(0, 150))
def test_any_bytes_are_a_program_or_an_error(tmp_path: Path, data: bytes, at: int) -> None:
    whole = elf(loader="/lib/ld-linux.so.2")
    for content in (data, whole[:at] + data[:8] + whole[at + 8 :]):
        try:
            read_program(Path(program(tmp_path, content)))
        except InfraError:
            pass


# ---- beside an initrd

USER = archive(
    entry("usr", DIRECTORY),
    entry("usr/bin", DIRECTORY),
    entry("bin", LINK, b"usr/bin"),
    entry("usr/bin/mine", FILE, b"#!/bin/sh\n"),
    entry("usr/bin/sh", FILE, b"of the initrd"),
)


@pytest.fixture(name="initrd")
def initrd_of_a_user(tmp_path: Path) -> str:
    path = tmp_path / "user.cpio"
    path.write_bytes(USER)
    return str(path)


def test_a_path_of_the_initrd_is_used_as_it_is(initrd: str, tmp_path: Path) -> None:
    for path in ("/bin/mine", "/usr/bin/sh"):
        assert not added(path, initrd).members and not added(path, initrd).archs
    script = program(tmp_path, b"#!/bin/sh\n")
    assert list(added(script, initrd).members) == [script[1:]]
    with pytest.raises(InfraError, match="no such file, neither here nor in the initrd"):
        added("/bin/no-such-program", initrd)


def test_an_initrd_that_only_linux_unpacks_may_have_the_program(tmp_path: Path) -> None:
    path = tmp_path / "user.lz4"
    path.write_bytes(b"\x02\x21\x4c\x18" + bytes(64))
    assert not added("/bin/no-such-program", str(path)).members
    with pytest.raises(InfraError, match="packed with what only Linux unpacks"):
        added(program(tmp_path, elf()), str(path))
    with pytest.raises(InfraError, match="no such file, neither"):
        added("no-such-program", str(path))


def spec_of(*programs: str, **fields: Any) -> ChainRun:
    kernels = ("khorig", "linux-7.3", "linux-7.3")
    return ChainRun("x86_64", "q35", kernels=kernels, programs=programs, **fields)


def test_the_archive_of_a_chain(
    tmp_path: Path, initrd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a symbolic link of the user's leads to stays: a folder would take its place."""
    (tmp_path / "kernel").write_bytes(b"kernel")
    path = program(tmp_path, elf("x86_64"))
    monkeypatch.setattr(chain, "image_of", lambda spec, name: tmp_path / "kernel")
    monkeypatch.setattr(chain, "find_images", lambda *_: Images(Path("k"), Path("a")))
    monkeypatch.setattr(chain, "build_init", lambda peer: b"init")
    for name in ("_headers_for", "_elves"):
        monkeypatch.setattr(chain, name, lambda spec: {})
    spec = spec_of(f"2:{path} 'a b'", "/bin/mine", extra_initrd=initrd)
    made = chain.make_images(spec, machine_named("q35"), tmp_path).archive.read_bytes()
    (tmp_path / "whole").write_bytes(made)
    found = read_initrd(tmp_path / "whole")
    assert found.is_complete and found.has(path) and found.has("/programs/2")
    assert found.links["bin"] == "usr/bin" and found.has("/bin/mine")
    assert made.index(USER) < made.rindex(path[1:].encode())  # Linux follows the user's links
    assert not (tmp_path / "programs.cpio").exists()


def test_the_lists_for_init() -> None:
    spec = spec_of("2:/x 'a b' ''", "/y", "1:/z", "3:/z")
    assert program_lists(spec) == {
        "programs/2": b"3\0/x\0a b\0\0001\0/y\0", "programs/3": b"1\0/y\0001\0/z\0",
    }  # fmt: skip
    assert spec.first(2).programs == ("2:/x 'a b' ''", "/y", "1:/z")
    with pytest.raises(
        InfraError, match="programs of generation 2: [0-9]+ bytes of words, at most"
    ):
        program_lists(spec_of(*["/x " + "a" * 4000] * 16))


def test_a_program_is_for_the_architecture_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="is for arm64; q35 is x86_64"):
        programs_of(spec_of(f"2:{program(tmp_path, elf('arm64'))}"))
    with pytest.raises(InfraError, match="program: no closing quotation"):
        programs_of(spec_of("2:/x 'a"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no program"),
        ("''", "no program"),
        ("/x 'a", "no closing quotation"),
        ("/x\ny", "control characters"),
        ("/x " + "a" * 4096, "4099 bytes, at most 4096"),
        ("/" + "x" * 255, "a path of 256 bytes, at most 255"),
    ],
)
def test_what_is_no_program_with_arguments(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        program_words(text)
