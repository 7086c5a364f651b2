# SPDX-License-Identifier: BSD-3-Clause
"""Archives that cannot be used: the kernel says what is wrong and ends with the agreed status."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Callable

import libarchive
import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import each_arch
from khorig.rules.finding import Verdict
from khorig.vm.build_outputs import find_images
from khorig.vm.machines import machine_named

USAGE = 41
OTHER = {"q35": "virt", "virt": "q35"}

Files = dict[str, bytes]


def archive_of(files: Files) -> bytes:
    """A cpio archive (newc)."""
    with tempfile.NamedTemporaryFile() as file:
        with libarchive.file_writer(file.name, "cpio_newc") as writer:
            for name, data in files.items():
                writer.add_file_from_memory(name, len(data), data, permission=0o644, mtime=0)
        return Path(file.name).read_bytes()


def use(archive: bytes, machine: str, build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `build` a folder of built files, with this archive."""
    images = find_images(machine_named(machine))
    for image in {images.kernel, *images.elves.values(), *images.kernels.values()}:
        (build / image.name).symlink_to(image.resolve())
    (build / images.archive.name).write_bytes(archive)
    monkeypatch.setenv("KHORIG_BUILD", str(build))


def _files(machine: str) -> Files:
    archive = find_images(machine_named(machine)).archive
    return {"kernel": archive.with_suffix(".bin").read_bytes()}


def _without_kernel(machine: str) -> bytes:
    return archive_of({"something-else": b"x"})


def _no_archive(machine: str) -> bytes:
    return b"this is no cpio archive" * 40


def _cut_archive(machine: str) -> bytes:
    return archive_of(_files(machine))[:5000]


def _cut_image(machine: str) -> bytes:
    return archive_of({"kernel": _files(machine)["kernel"][:40]})


def _image_of_the_other_architecture(machine: str) -> bytes:
    return archive_of(_files(OTHER[machine]))


def _noise(machine: str) -> bytes:
    return archive_of({"kernel": bytes(range(256)) * 64})


def _too_big_for_scratch(machine: str) -> bytes:
    return archive_of({**_files(machine), "initrd": b"\xa5" * (20 << 20)})


def _long_command_line(machine: str) -> bytes:
    return archive_of({**_files(machine), "cmdline": b"seed=1 " * 400})


@pytest.mark.parametrize(
    ("make", "cause", "text"),
    [
        (_without_kernel, "archive", "kernel: no such file in the archive"),
        (_no_archive, "archive", "not a cpio archive"),
        (_cut_archive, "archive", "truncated"),
        (_cut_image, "image", "kernel: "),
        (_image_of_the_other_architecture, "image", "kernel: "),
        (_noise, "image", "kernel: "),
        (_too_big_for_scratch, "scratch-too-small", "the initrd needs 20971520 bytes in one piece"),
        (_long_command_line, "archive", "cmdline: longer than 2047 bytes"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
@each_arch
def test_is_refused_with_its_cause(
    rig: Rig,
    machine: str,
    make: Callable[[str], bytes],
    cause: str,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(make(machine), machine, tmp_path, monkeypatch)
    result = rig.run(
        machine,
        "chain",
        generations=2,
        extra_options=("kho_scratch=8M,4M,4M",),
        expected_status=USAGE,
    )
    result.expect_pass()
    said = result.events("error")
    assert [event["cause"] for event in said] == [cause]
    assert text in said[0]["text"]


@each_arch
def test_a_user_is_told(
    rig: Rig, machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(_without_kernel(machine), machine, tmp_path, monkeypatch)
    result = rig.run(machine, "chain", generations=2)
    assert result.verdict is Verdict.FAIL
    assert result.cause == "archive: kernel: no such file in the archive"
