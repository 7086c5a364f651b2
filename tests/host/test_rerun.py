# SPDX-License-Identifier: BSD-3-Clause
"""The command that does a run again has all that the run depends on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.guest.khorig_run import KhorigRun
from khorig.run.rerun import rerun_command, write_rerun_script
from khorig.vm.build_outputs import Images
from khorig.vm.machines import machine_named


def test_what_every_run_has() -> None:
    assert rerun_command(KhorigRun("x86_64", "q35")) == (
        "scripts/khorig run --machine q35 --scenario handover --generations 3 --mem 256M "
        "--seed 0x5eed0001 --timeout 60"
    )


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"stops": ()}, "--stops none"),
        ({"stops": ("sealed", "refused")}, "--stops sealed,refused"),
        ({"fault": "write-after-seal"}, "--fault write-after-seal"),
        ({"tamper": "node-shared"}, "--tamper node-shared"),
        ({"memory": (256 << 20) + 1024}, "--mem 262145K"),
        ({"memory": 6 << 30}, "--mem 6144M"),
        ({"boot": "uefi"}, "--boot uefi"),
        ({"smp": 4}, "--smp 4"),
        ({"timeout_s": 2.5}, "--timeout 2.5"),
        ({"extra_options": ("a=1", "b=x y")}, "--append a=1 --append 'b=x y'"),
        ({"extra_qemu": ("-d", "int")}, "-- -d int"),
        ({"kernels": ("linux", "khorig", "linux")}, "--chain linux,khorig,linux"),
        ({"kernels": ("linux",), "linux_options": ("2:a", "b")},
         "--linux-append 2:a --linux-append b"),
        ({"kernels": ("linux",), "extra_initrd": "/x.cpio"}, "--initrd /x.cpio"),
        ({"kernels": ("linux",), "programs": ("1:/x", "/y a")}, "--run 1:/x --run '/y a'"),
        ({"kernels": ("linux",), "counted": True}, "--count"),
        ({"kernels": ("linux-7.3:33279efd", "khorig")}, "--chain linux-7.3:33279efd,khorig"),
    ],
)  # fmt: skip
def test_what_is_not_the_default_is_there(fields: dict[str, Any], words: str) -> None:
    kind = ChainRun if "kernels" in fields else KhorigRun
    command = rerun_command(kind("x86_64", "q35", **fields))
    assert f" {words} " in f"{command} "
    assert command.startswith("scripts/khorig linux run ") == ("kernels" in fields)


def test_arguments_of_the_script_are_khorigs(tmp_path: Path) -> None:
    machine, images = machine_named("q35"), Images(Path("kernel"), Path("archive"))
    for extra_qemu in ((), ("-d", "int")):
        spec = KhorigRun("x86_64", "q35", extra_qemu=extra_qemu)
        write_rerun_script(tmp_path / "rerun.sh", spec, machine, images)
        last = (tmp_path / "rerun.sh").read_text().splitlines()[-1]
        command = last.removeprefix('exec "$khorig"').replace('"$@"', "--keep -v")
        words = command.split()
        assert words.index("--keep") < (words.index("--") if extra_qemu else len(words))
        assert tuple(words[words.index("-v") + 1 :]) == (("--", *extra_qemu) if extra_qemu else ())


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """In the folder of a run below a checkout."""
    folder = tmp_path / "tree/out/session/run"
    folder.mkdir(parents=True)
    images = Images(Path("/k"), folder / "archive.cpio")
    write_rerun_script(
        folder / "rerun.sh", KhorigRun("x86_64", "q35", seed=7), machine_named("q35"), images
    )
    return folder / "rerun.sh"


def _program(path: Path) -> Path:
    """Prints its name and its arguments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\necho "$0" "$@"\n')
    path.chmod(0o755)
    return path


def _said(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = environment.pop("PATH", "/usr/bin:/bin")
    return subprocess.run(
        [script, "-v"], env={"PATH": path, **environment}, capture_output=True, text=True,
        check=False, cwd="/",
    )  # fmt: skip


def test_a_moved_folder_is_run_by_the_khorig_around_it(script: Path, tmp_path: Path) -> None:
    inner = _program(tmp_path / "tree/scripts/khorig")
    said = _said(script).stdout
    assert said.startswith(f"{inner} run --machine q35 ") and " --seed 0x7 " in said
    assert said.endswith(" -v\n")
    moved = tmp_path / "elsewhere" / "folder"
    moved.parent.mkdir()
    script.parent.rename(moved)
    installed = _program(tmp_path / "bin/khorig")
    path = f"{installed.parent}:/usr/bin:/bin"
    assert _said(moved / "rerun.sh", PATH=path).stdout.startswith(f"{installed} run ")
    chosen = _program(tmp_path / "my/khorig")
    said = _said(moved / "rerun.sh", PATH=path, KHORIG=str(chosen)).stdout
    assert said.startswith(f"{chosen} run ")


def test_a_script_without_khorig_says_what_it_needs(script: Path, tmp_path: Path) -> None:
    done = _said(script, KHORIG=str(tmp_path / "gone"))
    assert done.returncode == 3
    assert f"no khorig at {tmp_path}/gone; set KHORIG to scripts/khorig" in done.stderr


def test_files_of_the_folder_are_named_without_it(script: Path) -> None:
    command = next(line for line in script.read_text().splitlines() if "-initrd" in line)
    assert " -initrd archive.cpio " in command and " -kernel /k " in command
    assert os.fspath(script.parent) not in script.read_text()
