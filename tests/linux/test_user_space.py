# SPDX-License-Identifier: BSD-3-Clause
"""Debian's own programs before and after the jump, as docs/linux-options.md has them."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Sequence

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import built_peer
from khorig.rules.finding import Verdict
from khorig.vm.errors import InfraError
from khorig.vm.private_apt import PrivateApt

CHAIN = ("linux-7.3", "khorig", "linux-7.3")
_NOT_NEEDED = ("debconf_", "perl", "gcc-")  # to run kexec


def _release() -> str:
    """Of this machine, whose mirror has the packages."""
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return next(shlex.split(line)[0].partition("=")[2] for line in lines if "CODENAME" in line)


def _unpacked(packages: Sequence[Path], folder: Path) -> Path:
    for package in packages:
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return folder


def _pack(folder: Path, names: Sequence[str], path: Path, packing: str | None) -> Path:
    """An initramfs of files below `folder`."""
    import libarchive

    with contextlib.chdir(folder), libarchive.file_writer(
        str(path), "cpio_newc", packing
    ) as writer:
        writer.add_files(*names)
    return path


@pytest.fixture(scope="module", name="apt")
def private_apt(tmp_path_factory: pytest.TempPathFactory) -> PrivateApt:
    built_peer("x86_64", "linux-7.3")
    return PrivateApt(tmp_path_factory.mktemp("apt"), (_release(),), bare=True)


@pytest.fixture(scope="module", name="busybox")
def busybox_static(apt: PrivateApt, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        package = apt.fetch("busybox-static", print)
    except InfraError as error:
        pytest.skip(f"busybox-static cannot be had: {error}")
    return _unpacked([package], tmp_path_factory.mktemp("busybox")) / "bin/busybox"


@pytest.fixture(scope="module", name="kexec_tools")
def kexec_tools_with_libraries(apt: PrivateApt, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initramfs with /sbin/kexec, its loader and its libraries: this machine lacks those of
    Xen."""
    folder = tmp_path_factory.mktemp("kexec")
    try:
        version = apt.versions("kexec-tools", print)[0]
        packages = apt.fetch_all([f"kexec-tools={version}"], _release(), print)
    except InfraError as error:
        pytest.skip(f"kexec-tools cannot be had: {error}")
    needed = [package for package in packages if not package.name.startswith(_NOT_NEEDED)]
    root = _unpacked(needed, folder / "root")
    for path in ("usr/share", "usr/lib/x86_64-linux-gnu/gconv", "usr/sbin"):
        shutil.rmtree(root / path, ignore_errors=True)
    names = sorted(path.name for path in root.iterdir())
    return _pack(root, names, folder / "kexec.cpio.gz", "gzip")


def test_kexec_tools_and_busybox(rig: Rig, busybox: Path, kexec_tools: Path) -> None:
    """A kernel that kexec loads is unloaded before the rig loads its own."""
    shell = f"test -e /debug/kho/in/fdt && {busybox} dmesg | {busybox} grep 'KHO: found'"
    result = rig.run(
        "q35",
        kernels=CHAIN,
        extra_initrd=str(kexec_tools),
        programs=(
            "1:/sbin/kexec -s -l /images/1 --reuse-cmdline",
            f"1:{busybox} grep -q 1 /sys/kernel/kexec_loaded",
            "1:/sbin/kexec -s -u",
            f"1:{busybox} grep -q 0 /sys/kernel/kexec_loaded",
            f"3:{busybox} sh -c {shlex.quote(shell)}",
        ),
    )
    result.expect_pass()
    ended = [(event["gen"], event["number"]) for event in result.events("program")]
    assert ended == [(1, 0), (1, 1), (1, 2), (1, 3), (3, 0)]


def test_what_busybox_does_not_find(rig: Rig, busybox: Path) -> None:
    result = rig.run(
        "q35",
        kernels=CHAIN,
        programs=(f"3:{busybox} cat /none", "3:/bin/sh -c 'kill $$'"),
    )
    assert result.verdict is Verdict.FAIL
    [cat, shell] = result.findings
    assert cat.what.endswith("cat /none: exit status 1") and cat.generation == 3
    assert cat.evidence == ("cat: can't open '/none': No such file or directory",)
    assert shell.what == "program: /bin/sh -c 'kill $$': killed by signal 15 (SIGTERM)"


def test_a_user_space_with_links(rig: Rig, busybox: Path, tmp_path: Path) -> None:
    """A script of the host runs on the shell of the initrd, in which /bin is a link and stays one
    although a program of the host goes there."""
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/sh").write_bytes(busybox.read_bytes())
    (root / "usr/bin/sh").chmod(0o755)
    (root / "bin").symlink_to("usr/bin")
    initrd = _pack(root, ("bin", "usr"), tmp_path / "user.cpio", None)
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\ntest "$(readlink /bin)" = usr/bin && test -x /usr/bin/dash\n')
    script.chmod(0o755)
    result = rig.run(
        "q35",
        kernels=("linux-7.3", "linux-7.3"),
        extra_initrd=str(initrd),
        programs=("/bin/dash -c 'echo words'", str(script)),
    )
    result.expect_pass()
    assert [event["gen"] for event in result.events("program")] == [1, 1, 2, 2]
