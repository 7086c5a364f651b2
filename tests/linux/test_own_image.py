# SPDX-License-Identifier: BSD-3-Clause
"""A Linux that the user brings, as a file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from khorig.linux.archive import write_archive
from khorig.pytest_plugin import built_peer
from khorig.vm.machines import machine_named

ARCHS = pytest.mark.parametrize("arch", ["x86_64", "arm64"])


def linux_run(*options: str) -> subprocess.CompletedProcess[str]:
    """`khorig linux run`."""
    words = [sys.executable, "-m", "khorig", "linux", "run", *options]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@ARCHS
def test_an_image_with_more_user_space(arch: str, tmp_path: Path) -> None:
    """Only the machine that the image is for is run, with the program of the initrd."""
    peer = built_peer(arch, "linux-7.3")
    image = tmp_path / "my-kernel"
    shutil.copy(peer.image, image)
    program = peer.selftests / "luo_kexec_simple"
    write_archive(tmp_path / "more.cpio", {"mine": program.read_bytes()}, ())
    done = linux_run(
        "--kernel", str(image), "--initrd", str(tmp_path / "more.cpio"), "--out", str(tmp_path),
        "--run", "1:/mine -s 1", "--run", "3:/mine -s 2",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    passed = [line for line in done.stdout.splitlines() if line.startswith(" PASS ")]
    assert len(passed) == 1 and f"{arch}/" in passed[0], done.stdout
    assert "my-kernel+khorig+my-kernel" in passed[0]


def test_a_program_that_fails_fails_the_run(tmp_path: Path) -> None:
    peer = built_peer("arm64", "linux-7.3")
    more = tmp_path / "more.cpio"
    write_archive(more, {"mine": b"#!/none\n"}, ())
    done = linux_run(
        "--kernel", str(peer.image), "--initrd", str(more), "--out", str(tmp_path),
        "--run", "3:/mine a",
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "error     program: /mine a: not started: ENOENT (" in done.stdout
    assert "generation 3 of 3" in done.stdout


@ARCHS
def test_an_image_for_another_machine_is_refused(arch: str, tmp_path: Path) -> None:
    other = "virt" if arch == "x86_64" else "q35"
    assert machine_named(other).arch != arch
    image = str(built_peer(arch, "linux-7.3").image)
    done = linux_run("--kernel", image, "--machine", other, "--out", str(tmp_path))
    assert done.returncode == 2
    assert f"{image} is for {arch}; no machine among {other} is" in done.stderr


def test_what_is_no_linux_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kernel"
    file.write_bytes(b"\x7fELF" + bytes(2000))
    done = linux_run("--kernel", str(file), "--out", str(tmp_path))
    assert done.returncode == 3
    assert "expected bzImage or arm64 Image" in done.stdout + done.stderr
