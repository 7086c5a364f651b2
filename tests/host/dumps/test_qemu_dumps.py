# SPDX-License-Identifier: BSD-3-Clause
"""Dumps that QEMU itself writes, of a machine that waits before its first instruction."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Iterator

import pytest
from dumps.dump_files import used_pages, write_raw
from view.handover_image import MIB, PAGE, HandoverImage

from khorig.kho.snapshot import find_snapshot
from khorig.mem.formats import Dump, UnreadableDump, open_dump
from khorig.mem.memory import PhysRange
from khorig.vm.live_dump import open_memory
from khorig.vm.machines import Machine, machine_named

_RAM = 64 * MIB
_FORMATS = {"core": "", "kdump": "-z"}
_BOTH = pytest.mark.parametrize("name", ["q35", "virt"])


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


@contextlib.contextmanager
def qemu(machine: Machine, ram: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A QEMU that waits before the guest's first instruction, whose RAM is a file."""
    if shutil.which(machine.binary) is None:
        pytest.skip(f"{machine.binary} is not installed")
    backend = f"memory-backend-file,id=ram,size={_RAM},share=on,mem-path={ram}"
    command = [
        machine.binary, *machine.arguments("tcg"), "-machine", "memory-backend=ram",
        "-m", f"{_RAM >> 20}M", "-object", backend,
        "-nodefaults", "-display", "none", "-S", *more,
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def check_dump(path: Path, image: HandoverImage) -> Dump:
    """What a dump says is what the machine's memory has."""
    with open_memory(path) as dump:
        assert dump.memory.ranges[0] == PhysRange(image.ram.regions[0].gpa, _RAM)
        found = find_snapshot(dump)
        assert found.chosen.address == image.root and found.chosen.state == "whole"
        assert len(found.handover.blocks) == len(image.blocks)
        for frame in [at >> 12 for at, _ in image.blocks]:
            assert bytes(dump.memory.view(frame << 12, PAGE)) == used_pages(image.ram)[frame]
        return dump


@_BOTH
def test_dumps(name: str, tmp_path: Path) -> None:
    machine = machine_named(name)
    image = machine_image(machine)
    ram = tmp_path / "ram"
    write_raw(ram, image.ram, {})
    orders = "".join(
        f"dump-guest-memory {option} {tmp_path / file}\n" for file, option in _FORMATS.items()
    )
    with qemu(machine, ram, "-monitor", "stdio") as process:
        _, errors = process.communicate(orders + "quit\n", timeout=60)
        assert process.returncode == 0, errors
    for file, format in {"core": "ELF core", "kdump": "kdump, flattened"}.items():
        os.chmod(tmp_path / file, 0o600)
        assert check_dump(tmp_path / file, image).format == format


def _listens(path: Path) -> bool:
    """Whether a socket takes connections: it has its name before it does."""
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


@_BOTH
def test_a_running_machine(name: str) -> None:
    machine = machine_named(name)
    image = machine_image(machine)
    # The path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="khorig") as folder:
        ram, monitor = Path(folder) / "ram", Path(folder) / "qmp"
        write_raw(ram, image.ram, {})
        with qemu(machine, ram, "-qmp", f"unix:{monitor},server=on,wait=off") as process:
            deadline = time.monotonic() + 30
            while not _listens(monitor) and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            for _ in range(2):  # QEMU takes a new connection after each
                assert check_dump(monitor, image).path == monitor
            # The file that it has its RAM in is as good.
            with open_dump(ram, name) as dump:
                assert find_snapshot(dump).chosen.address == image.root
        with pytest.raises(UnreadableDump, match="cannot connect to QEMU"):
            open_memory(monitor)


def test_a_socket_that_is_no_monitor() -> None:
    with tempfile.TemporaryDirectory(prefix="khorig") as folder:
        path = Path(folder) / "socket"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()

            def hang_up() -> None:
                server.accept()[0].close()

            threading.Thread(target=hang_up, daemon=True).start()
            with pytest.raises(UnreadableDump, match="closed the QMP connection"):
                open_memory(path)
