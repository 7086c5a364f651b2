# SPDX-License-Identifier: BSD-3-Clause
"""A failed run is done again from its folder, and from a bundle, and the outcome is compared."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch
from khorig.run.bundle.container import member_of, unpack_container, write_container
from khorig.run.bundle.errors import BrokenBundle
from khorig.run.bundle.make import make_bundle
from khorig.run.bundle.manifest import Manifest
from khorig.run.bundle.open import open_bundle
from khorig.rules.finding import Verdict
from khorig.vm.errors import InfraError

_MOST_BYTES = 4 << 20  # of the bundle of a failed default run
_FAULT = "write-after-seal"


def _khorig(*words: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "khorig", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


def _failed(rig: Rig, machine: str = "q35", **options: Any) -> Path:
    result = rig.run(machine, fault=_FAULT, **options)
    assert result.verdict is Verdict.FAIL
    return Path(result.directory)


def _small(rig: Rig) -> Path:
    """The folder of a run that is done again quickly."""
    return _failed(rig, memory=64 << 20, extra_options=("megabytes=8",))


@each_arch
def test_a_failed_default_run_in_a_bundle(rig: Rig, machine: str, tmp_path: Path) -> None:
    folder = _failed(rig, machine, record=True)
    bundle = tmp_path / "x.khorig"
    done = _khorig("bundle", folder, "-o", bundle)
    assert done.returncode == 0, done.stderr
    assert "left out" not in done.stdout
    assert bundle.stat().st_size <= _MOST_BYTES
    # A machine without khorig's kernels.
    there = {"KHORIG_BUILD": str(tmp_path / "nothing"), "HOME": str(tmp_path / "home")}
    unpacked = tmp_path / "unpacked"
    words = ("rerun", bundle, "--out", tmp_path / "out", "--unpack", unpacked)
    done = _khorig(*words, **there)
    assert done.returncode == 0, done.stdout + done.stderr
    then, now, last = done.stdout.splitlines()[-3:]
    assert last == "same verdict, rule and cause"
    assert then.startswith("then  FAIL  KHR-I080  page 0x")
    assert now.startswith("now   FAIL  KHR-I080  page 0x")
    _names_no_machine(unpacked, folder)
    _same_images(folder / "recorded", unpacked / "dumps")


def _names_no_machine(unpacked: Path, folder: Path) -> None:
    build = json.loads((folder / "run.json").read_text())["files"]["kernel"]["file"]
    words = [os.path.dirname(build), str(folder.parents[2]), os.path.expanduser("~/"), os.getcwd()]
    words += [socket.gethostname()] if len(socket.gethostname()) > 3 else []
    for path in unpacked.rglob("*.*"):
        if path.parent.name in ("files", "dumps") or path.is_dir():
            continue  # bytes of the kernels, of guest RAM
        text = path.read_bytes().decode("utf-8", "replace")
        assert not [word for word in words if word in text], path


def _same_images(folder: Path, dumps: Path) -> None:
    images = sorted(path.name for path in folder.glob("*.ram.zst"))
    assert images == sorted(path.name for path in dumps.glob("*.ram.zst")) and len(images) > 2
    for name in images:
        assert _unpacked(folder / name) == _unpacked(dumps / name), name
        assert json.loads((dumps / name.replace(".ram.zst", ".json")).read_text())["ram_map"]


def _unpacked(path: Path) -> bytes:
    with path.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        return bytes(stream.read())


def test_replay(rig: Rig, tmp_path: Path) -> None:
    folder = _small(rig)
    done = _khorig("replay", folder.parents[1], "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "same verdict, rule and cause"


def test_another_verdict_is_told(rig: Rig, tmp_path: Path) -> None:
    folder = _small(rig)
    run = json.loads((folder / "run.json").read_text())
    run["spec"]["fault"] = None
    (folder / "run.json").write_text(json.dumps(run))
    done = _khorig("replay", folder, "--out", tmp_path / "out")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "NOT the same: another verdict"
    assert done.stdout.splitlines()[-2].startswith("now   PASS")


def test_a_kernel_that_changed_or_is_gone_is_told(rig: Rig, tmp_path: Path) -> None:
    folder = _small(rig)
    run = json.loads((folder / "run.json").read_text())
    copy = tmp_path / "kernel"
    shutil.copyfile(run["files"]["kernel"]["file"], copy)
    run["files"]["kernel"]["file"] = str(copy)
    (folder / "run.json").write_text(json.dumps(run))
    with copy.open("r+b") as file:
        file.write(b"\0")
    done = _khorig("replay", folder, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert f"the kernel has changed since this run: {copy}" in done.stderr
    with pytest.raises(InfraError, match="has changed since"):
        make_bundle(folder, tmp_path / "x.khorig")
    copy.unlink()
    done = _khorig("replay", folder, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert f"the kernel of this run is gone: {copy}" in done.stderr
    assert not (tmp_path / "out").exists() and not (tmp_path / "x.khorig").exists()


def test_arguments_for_qemu_need_trust(rig: Rig, tmp_path: Path) -> None:
    folder = _failed(
        rig, memory=64 << 20, extra_options=("megabytes=8",), extra_qemu=("-name", "guest=x")
    )
    bundle = tmp_path / "x.khorig"
    make_bundle(folder, bundle)
    words = ("rerun", bundle, "--out", tmp_path / "out", "--unpack", tmp_path / "unpacked")
    done = _khorig(*words)
    assert done.returncode == 2
    assert "has arguments for QEMU (-name guest=x)" in done.stderr
    assert not (tmp_path / "out").exists() and not (tmp_path / "unpacked").exists()
    done = _khorig(*words, "--trust-qemu-arguments")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_of_this_machine_stays_here(rig: Rig, tmp_path: Path) -> None:
    folder = _failed(
        rig,
        memory=64 << 20,
        extra_options=("megabytes=8",),
        extra_qemu=("-D", str(tmp_path / "qemu.log")),
    )
    with pytest.raises(InfraError, match="arguments for QEMU name a file of this machine"):
        make_bundle(folder, tmp_path / "x.khorig")


def test_dumps_that_are_too_large_are_left_out_and_named(rig: Rig, tmp_path: Path) -> None:
    folder = _failed(rig, memory=64 << 20, extra_options=("megabytes=8",), keep=True)
    made = make_bundle(folder, tmp_path / "x.khorig", dumps_bytes=1 << 16)
    [line] = made.left_out
    assert line.startswith("guest RAM at gen1.entry") and "more than 65536 bytes" in line
    (tmp_path / "unpacked").mkdir()
    manifest = unpack_container(tmp_path / "x.khorig", tmp_path / "unpacked")
    assert manifest.left_out == made.left_out
    assert not [name for name in manifest.members if name.startswith("dumps/")]


def test_a_bundle_without_its_kernel(rig: Rig, tmp_path: Path) -> None:
    """The members are those of the manifest, but run.json asks for more."""
    folder = _small(rig)
    run = json.loads((folder / "run.json").read_text())
    for name in ("../../etc/passwd", "/etc/passwd", "files/none"):
        run["files"]["kernel"]["file"] = name
        contents: dict[str, bytes | Path] = {"run.json": json.dumps(run).encode()}
        manifest = Manifest({"run.json": member_of(contents["run.json"])})
        write_container(tmp_path / "x.khorig", manifest, contents)
        unpacked = tmp_path / "unpacked"
        unpacked.mkdir()
        with pytest.raises(BrokenBundle, match="expected a name inside|, is missing"):
            open_bundle(tmp_path / "x.khorig", unpacked)
        shutil.rmtree(unpacked)
