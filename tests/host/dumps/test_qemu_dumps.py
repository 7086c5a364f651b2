# SPDX-License-Identifier: BSD-3-Clause
"""Dumps that QEMU itself writes, of a machine that waits before its first instruction."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dumps.dump_files import used_pages, write_raw
from khorig.machines import Machine, machine_named
from khorig.view.dumps import open_dump
from khorig.view.inspection import inspect
from khorig.view.memory import PhysRange
from view.handover_image import MIB, PAGE, HandoverImage

_RAM = 64 * MIB
_FORMATS = {"core": "", "kdump": "-z"}


def machine_image(machine: Machine) -> HandoverImage:
    """A handover from the second MiB of the machine's RAM on: firmware has the first."""
    [region] = machine.ram_regions(_RAM)
    scratch = PhysRange(region.gpa + 32 * MIB, 4 * MIB)
    image = HandoverImage((PhysRange(region.gpa, _RAM),), (scratch,))
    image.blocks.clear()
    image._next = region.gpa + 2 * MIB
    image.root = image.preserved_page()
    for order in (0, 3, 5):
        image.preserved_block(order)
    image.finish()
    return image


@pytest.mark.parametrize("name", ["q35", "virt"])
def test_dumps(name: str, tmp_path: Path) -> None:
    machine = machine_named(name)
    if shutil.which(machine.binary) is None:
        pytest.skip(f"{machine.binary} is not installed")
    image = machine_image(machine)
    ram = tmp_path / "ram"
    write_raw(ram, image.ram, {})
    orders = "".join(
        f"dump-guest-memory {option} {tmp_path / file}\n" for file, option in _FORMATS.items()
    )
    backend = f"memory-backend-file,id=ram,size={_RAM},share=on,mem-path={ram}"
    command = [
        machine.binary, *machine.arguments("tcg"), "-m", f"{_RAM >> 20}M", "-object", backend,
        "-nodefaults", "-display", "none", "-S", "-monitor", "stdio",
    ]  # fmt: skip
    subprocess.run(
        command, input=orders + "quit\n", text=True, check=True, capture_output=True, timeout=60
    )
    for file in _FORMATS:
        os.chmod(tmp_path / file, 0o600)
        with open_dump(tmp_path / file) as dump:
            assert dump.memory.ranges[0] == PhysRange(image.ram.regions[0].gpa, _RAM)
            found = inspect(dump)
            assert found.chosen.address == image.root and found.chosen.state == "whole"
            assert len(found.handover.blocks) == len(image.blocks)
            for frame in [at >> 12 for at, _ in image.blocks]:
                assert bytes(dump.memory.view(frame << 12, PAGE)) == used_pages(image.ram)[frame]
