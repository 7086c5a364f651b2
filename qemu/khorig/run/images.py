# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU loads for a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from khorig.guest.spec import KHORIGS, RunSpec
from khorig.vm.build_outputs import Images
from khorig.vm.machines import Machine
from khorig.vm.uefi_volume import make_uefi_images

if TYPE_CHECKING:
    from khorig.run.session import RunKind

Spec = TypeVar("Spec", bound=RunSpec)


def images_for(kind: RunKind[Spec], spec: Spec, machine: Machine, folder: Path) -> Images:
    """The files, those that are made for this run in `folder`. Raises InfraError, OSError."""
    images = kind.images(spec, machine, folder)
    if spec.boot == "uefi" and images.volume is None and spec.kernel_of(1) in KHORIGS:
        return make_uefi_images(machine, images, spec.kernel_of(1), spec.command_line(1), folder)
    return images
