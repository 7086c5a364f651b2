# SPDX-License-Identifier: BSD-3-Clause
"""What must not be asked for: the rig would judge another run than the one that takes place."""

from __future__ import annotations

import gzip
import lzma
import os
from pathlib import Path
from typing import Iterator

import click
import pytest
from rig import Rig, usage_error
from tiny_kernel import build_elf

from khorig.cli.qemu_arguments import check_qemu_arguments
from khorig.guest.khorig_run import KhorigRun
from khorig.linux.archive import write_archive
from khorig.linux.initrd import why_no_initrd


@pytest.fixture(autouse=True, scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A rig that the command line finds. Nothing here runs on it."""
    with pytest.MonkeyPatch.context() as patch:
        rig = Rig(tmp_path_factory.mktemp("rig"), patch.setenv)
        for arch in ("x86_64", "arm64"):
            build_elf(rig.folder / "build" / f"khorig-{arch}.elf", {"handover": "h", "refuse": "r"})
        patch.setenv("KHORIG_OUT", str(rig.out))
        yield


_CHAIN = ("linux", "run", "--chain", "linux-7.3,khorig,linux-7.3")


@pytest.mark.parametrize(
    ("words", "accepted"),
    [
        (("run", "--stops", ""), "entry, refused, restored, settled, sealed, none"),
        (("run", "--stops", "sealed,"), "entry, refused, restored, settled, sealed, none"),
        (("run", "--stops", "none,sealed"), "'none' excludes other stops"),
        (("run", "--fault", ""), "write-after-seal"),
        (("run", "--machine", ""), "q35, pc, microvm, virt, all"),
        (("run", "--machine", "q35,,virt"), "q35, pc, microvm, virt, all"),
        (("run", "--arch", ""), "x86_64, arm64"),
        (("run", "--boot", ""), "direct, uefi"),
        (("run", "--scenario", ""), "handover, refuse"),
        (("run", "--scenario", "refuse", "--tamper", ""), "node-to-itself"),
        (("run", "--out", ""), "--out: empty path"),
        (("run", "--append", ""), "expected NAME=VALUE"),
        ((*_CHAIN, "--stops", ""), "entry, refused, restored, settled, sealed, none"),
        ((*_CHAIN, "--machine", ""), "q35, pc, microvm, virt"),
        ((*_CHAIN, "--tamper", ""), "no tampering given"),
        ((*_CHAIN, "--out", ""), "--out: empty path"),
        ((*_CHAIN, "--initrd", ""), "does not exist"),
        ((*_CHAIN, "--kernel", ""), "does not exist"),
        ((*_CHAIN, "--append", ""), "expected NAME=VALUE"),
        ((*_CHAIN, "--linux-append", ""), "expected a Linux option"),
        (("linux", "run", "--chain", ""), "at least two kernels"),
        (("linux", "run", "--chain", "khorig,,khorig"), "unknown kernel ''"),
    ],
)  # fmt: skip
def test_an_empty_value_is_not_a_choice(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], accepted: str
) -> None:
    assert accepted in usage_error(capsys, *words)


@pytest.mark.parametrize("verb", [("run",), _CHAIN, ("bench", "linux")])
@pytest.mark.parametrize("value", ["nan", "-NaN", "inf", "-inf", "1e300", "0", "-1", ""])
def test_a_time_that_does_not_end_is_none(
    capsys: pytest.CaptureFixture[str], verb: tuple[str, ...], value: str
) -> None:
    assert "--timeout" in usage_error(capsys, *verb, "--timeout", value)


@pytest.mark.parametrize("value", ["9" * 400, "9" * 400 + "G", "\u0663M", "", "-1M"])
def test_what_is_no_size(capsys: pytest.CaptureFixture[str], value: str) -> None:
    assert "expected e.g. 256M" in usage_error(capsys, "run", "--mem", value)


@pytest.mark.parametrize("value", ["262145K", "4K", "65537K"])
def test_ram_comes_in_pages(capsys: pytest.CaptureFixture[str], value: str) -> None:
    line = usage_error(capsys, "run", "--mem", value)
    assert line == f"khorig: --mem: size '{value}' is not a multiple of 64K"


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        ("scenario=chain", "--scenario"),
        ("generations=5", "--generations"),
        ("generation=2", "each generation"),
        ("seed=3", "--seed"),
        ("stops=sealed", "--stops"),
        ("fault=none", "--fault"),
        ("megabytes=8 seed=3", "NAME=VALUE"),
        ("megabytes", "NAME=VALUE"),
        ("megabytes=\u00fc", "NAME=VALUE"),
        ("2:megabytes=8", "NAME=VALUE"),
    ],
)
def test_what_the_rig_sets_cannot_be_appended(
    capsys: pytest.CaptureFixture[str], option: str, instead: str
) -> None:
    line = usage_error(capsys, "run", "--append", option)
    assert option in line and instead in line


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--append", "seed=3"), "--seed"),
        (("--append", "2:generation=1"), "each generation"),
        (("--append", "scenario=handover"), "always relay"),
        (("--append", "1:megabytes=8"), "generation 1 is linux-7.3, not khorig"),
        (("--append", "4:megabytes=8"), "no generation 4 in a chain of 3"),
        (("--linux-append", "0:quiet"), "no generation 0 in a chain of 3"),
        (("--linux-append", "7:quiet"), "no generation 7 in a chain of 3"),
        (("--linux-append", "2:quiet"), "generation 2 is khorig, not Linux"),
        (("--linux-append", "khorig.generation=1"), "each generation"),
        (("--linux-append", "3:khorig.generations=9"), "--chain"),
        (("--linux-append", "quiet khorig.stops=sealed"), "--stops"),
        (("--linux-append", "khorig.content=a:1"), "--seed"),
        (("--linux-append", "khorig.luo=create"), "session"),
        (("--linux-append", "1:khorig.exec=/x"), "run by --run '[N:]PROGRAM [ARGUMENTS...]'"),
        (("--linux-append", "quiet khorig.exec="), "run by --run"),
        (("--linux-append", "1:khorig.kho=on"), "expected khorig.kho=off"),
        (("--linux-append", "1:"), "expected a Linux option"),
        (("--linux-append", "khorig.kexec=no-cma"), "--kexec-flag"),
        (("--kexec-flag", "2:no-cma"), "generation 2 is khorig, not Linux"),
        (("--kexec-flag", "3:no-cma"), "the last kernel of the chain loads none"),
        (("--chain", "khorig,linux-7.3", "--kexec-flag", "no-cma"), "the last kernel"),
        (("--kexec-flag", "1:no-cma,cma"), "'cma' is no flag of kexec_file_load; known: no-in"),
        (("--kexec-flag", ""), "'' is no flag"),
        (("--kexec-flag", "no-initramfs"), "generation 2 is khorig, which has the next kernel"),
        (("--linux-append", "khorig.crash=panic"), "--crash"),
        (("--crash", "1"), "generation 2, the last but one, is the one that can panic"),
        (("--crash", "2"), "--crash 2: generation 2 is khorig, not Linux"),
        (("--chain", "linux-7.3,khorig", "--crash", "1"), "generation 2 is khorig, not Linux"),
        (("--crash", "0"), "--crash"),
        (("--chain", "khorig,khorig", "--linux-append", "quiet"), "no Linux in this chain"),
        (("--chain", "linux-7.3,linux-7.3", "--append", "a=b"), "no khorig in this chain"),
    ],
)
def test_what_no_kernel_of_a_chain_would_get(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    assert why in usage_error(capsys, *_CHAIN, *words)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-smp", "8"), "conflicts with --smp 4; use --smp"),
        (("--smp", "cpus=8"), "conflicts with --smp 4; use --smp"),
        (("-smp", "sockets=2,cores=4"), "conflicts with --smp 4; use --smp"),
        (("-m", "1G"), "use --mem"),
        (("-machine", "pc"), "the machine is q35; use --machine"),
        (("-M", "type=virt"), "the machine is q35; use --machine"),
        (("-numa", "node"), "use --numa"),
        (("-machine", "q35,memory-backend=mine"), "the host reads guest RAM"),
        (("-machine", "acpi=off"), "the other 3 CPUs by ACPI"),
        (("-kernel", "bzImage"), "linux run --kernel"),
        (("-append", "x"), "--append"),
        (("-icount", "shift=1"), "virtual time"),
        (("-rtc", "base=utc"), "virtual time"),
        (("-accel", "kvm"), "use --accel"),
        (("-serial", "stdio"), "the rig's console"),
        (("-gdb", "tcp::1"), "use --gdb"),
        (("-cpu", "qemu32"), "the kernel needs a 64-bit CPU"),
        (("-cpu", "max,-lm"), "the kernel needs a 64-bit CPU"),
        (("-cpu", "nonsense"), "CPU model 'nonsense' not found"),
    ],
)
def test_what_contradicts_the_run_is_not_given_to_qemu(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    line = usage_error(capsys, "run", "--machine", "q35", "--smp", "4", "--", *words)
    assert why in line and words[-1] in line
    chain = ("linux", "run", "--chain", "khorig,khorig", "--machine", "q35", "--smp", "4")
    assert why in usage_error(capsys, *chain, "--", *words)


@pytest.mark.parametrize(
    "words",
    [
        ("-smp", "4,sockets=2"),
        ("-smp", "sockets=2,cores=2"),
        ("-machine", "pc-q35-7.2,kernel-irqchip=off"),
        ("-machine", "smm=off"),
        ("-cpu", "EPYC"),
        ("-cpu", "max,la57=off"),
        ("-d", "int,cpu_reset", "-D", "qemu.log"),
        (),
    ],
)
def test_other_arguments_are_qemus_business(words: tuple[str, ...]) -> None:
    check_qemu_arguments(KhorigRun("x86_64", "q35", smp=4, extra_qemu=words))


def test_an_argument_is_checked_against_each_machine() -> None:
    check_qemu_arguments(KhorigRun("arm64", "virt", extra_qemu=("-machine", "virt-7.2,its=off")))
    with pytest.raises(click.UsageError, match="the machine is pc"):
        check_qemu_arguments(KhorigRun("x86_64", "pc", extra_qemu=("-machine", "virt")))


def _archive(folder: Path) -> bytes:
    write_archive(folder / "a.cpio", {"hello": b"world"}, ())
    return (folder / "a.cpio").read_bytes()


def test_an_archive_is_user_space_packed_or_not(tmp_path: Path) -> None:
    data = _archive(tmp_path)
    packed = (
        data,
        gzip.compress(data),
        lzma.compress(data),
        lzma.compress(data, lzma.FORMAT_ALONE),
    )
    for number, contents in enumerate(packed):
        path = tmp_path / str(number)
        path.write_bytes(contents)
        assert why_no_initrd(path) is None, number


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        (b"", "empty file"),
        (b"root:x:0:0:root:/root:/bin/bash\n", "not a cpio archive (newc)"),
        (b"070707" + b"0" * 200, "not a cpio archive (newc)"),
        (b"070701" + b"0" * 20, "damaged cpio archive"),
        (b"070701" + b"z" * 200, "damaged cpio archive"),
        (gzip.compress(b"hello"), "decompressed content: not a cpio archive (newc)"),
        (gzip.compress(b""), "decompressed content: not a cpio archive (newc)"),
        (b"\x1f\x8b" + b"\0" * 30, "decompression failed"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 30, "decompression failed"),
    ],
)
def test_what_is_no_user_space_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], contents: bytes, why: str
) -> None:
    path = tmp_path / "initrd"
    path.write_bytes(contents)
    line = usage_error(capsys, *_CHAIN, "--initrd", str(path))
    assert f"--initrd {path}: {why}" in line


def test_an_archive_without_a_file_is_none(tmp_path: Path) -> None:
    write_archive(tmp_path / "none.cpio", {}, ())
    assert why_no_initrd(tmp_path / "none.cpio") == "empty cpio archive"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert why_no_initrd(tmp_path / "pipe") == "not a regular file"


def test_user_space_needs_a_linux(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.cpio"
    _archive(tmp_path)
    chain = ("linux", "run", "--chain", "khorig,khorig", "--initrd", str(path))
    assert "no Linux in this chain" in usage_error(capsys, *chain)
