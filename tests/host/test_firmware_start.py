# SPDX-License-Identifier: BSD-3-Clause
"""How firmware gets the first kernel: from a volume with khorig's loader, or itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.linux.chain import make_images
from khorig.linux.chain_kind import chain_kind
from khorig.run.images import images_for
from khorig.vm.build_outputs import Images
from khorig.vm.command import Wiring, qemu_argv, standalone_command
from khorig.vm.errors import InfraError
from khorig.vm.firmware import Firmware
from khorig.vm.machines import machine_named

WIRING = Wiring((3,), 4, 5)


def chain(machine: str, *kernels: str) -> ChainRun:
    arch = machine_named(machine).arch
    options = ("1:efi=noruntime",)
    return ChainRun(arch, machine, boot="uefi", kernels=kernels, linux_options=options)


@pytest.mark.parametrize("machine", ["q35", "virt"])
def test_firmware_starts_a_linux_itself(machine: str) -> None:
    images = Images(kernel=Path("/k"), archive=Path("/a"))
    spec = chain(machine, "linux-7.3", "khorig")
    argv = qemu_argv(machine_named(machine), spec, images, WIRING)
    assert argv[argv.index("-kernel") + 1] == "/k" and argv[argv.index("-initrd") + 1] == "/a"
    assert "efi=noruntime" in argv[argv.index("-append") + 1]
    assert any(word.startswith("if=pflash,format=raw,unit=0") for word in argv)
    assert not any("virtio-blk" in word for word in argv) and "-bios" not in argv
    assert "pflash" in standalone_command(machine_named(machine), spec, images)


@pytest.mark.parametrize("machine", ["q35", "virt"])
def test_khorig_comes_from_a_volume(machine: str) -> None:
    images = Images(kernel=Path("/k"), archive=Path("/a"), volume=Path("/v,w"))
    argv = qemu_argv(machine_named(machine), chain(machine, "khorig", "linux-7.3"), images, WIRING)
    assert "-kernel" not in argv and "-append" not in argv
    assert "if=none,id=esp,format=raw,readonly=on,file=/v,,w" in argv


def test_a_linux_needs_no_volume(tmp_path: Path) -> None:
    made = Images(kernel=tmp_path / "k", archive=tmp_path / "a")
    kind = dataclasses.replace(chain_kind(), images=lambda spec, machine, folder: made)
    spec = chain("q35", "linux-7.3", "khorig")
    assert images_for(kind, spec, machine_named("q35"), tmp_path) is made


def test_firmware_that_is_not_installed_is_named(tmp_path: Path) -> None:
    firmware = Firmware(tmp_path / "code.fd", tmp_path / "vars.fd", "ovmf", "BOOTX64.EFI")
    with pytest.raises(InfraError) as caught:
        firmware.check()
    assert "code.fd is not installed" in str(caught.value)


def test_a_linux_without_a_stub_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Firmware, "missing", lambda self: None)
    image = tmp_path / "bzImage"
    image.write_bytes(bytes(512))
    spec = chain("q35", str(image), str(image))
    with pytest.raises(InfraError) as caught:
        make_images(spec, machine_named("q35"), tmp_path)
    assert "has no EFI stub, so firmware cannot start it" in str(caught.value)
