# SPDX-License-Identifier: BSD-3-Clause
"""`khorig doctor`"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from typing import Iterator

import click

from khorig.cli import exit_codes
from khorig.cli.verb import Verb
from khorig.run.kvm_probe import probe_kvm
from khorig.vm.build_outputs import find_images
from khorig.vm.errors import InfraError
from khorig.vm.machines import MACHINES, Machine
from khorig.vm.ram_file import free_bytes
from khorig.vm.vm import MINIMUM_QEMU

# Module, and Debian's package that has it.
_MODULES = {
    "click": "python3-click",
    "jinja2": "python3-jinja2",
    "libarchive": "python3-libarchive-c",
    "libfdt": "python3-libfdt",
    "numpy": "python3-numpy",
    "rich": "python3-rich",
    "xxhash": "python3-xxhash",
    "zstandard": "python3-zstandard",
}
_ROOM_BYTES = 512 << 20


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    what: str
    found: str
    good: bool
    fix: str = ""  # the command
    needed: bool = True


@click.command(cls=Verb, short_help="Check the installation and suggest fixes.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output (schema 1).")
def doctor(as_json: bool) -> int:
    """Check everything that khorig needs: QEMU, firmware, Python modules, built kernels, room for
    guest RAM. KVM is probed with a guest; it is optional, runs are emulated. Exit status 3 when
    something required is missing."""
    checks = list(_checks())
    if as_json:
        click.echo(
            json.dumps({"schema": 1, "checks": [asdict(check) for check in checks]}, indent=1)
        )
    else:
        for check in checks:
            _print(check)
    broken = any(check.needed and not check.good for check in checks)
    return exit_codes.INFRA if broken else exit_codes.PASS


def _print(check: Check) -> None:
    mark = "ok" if check.good else ("MISSING" if check.needed else "no")
    click.echo(f" {mark:<8} {check.what:<22} {check.found}")
    if check.fix and not check.good:
        click.echo(f"{'':<10}fix: {check.fix}")


def _checks() -> Iterator[Check]:
    for binary, machine in {machine.binary: machine for machine in MACHINES}.items():
        yield _check_qemu(binary, machine)
    for firmware in dict.fromkeys(m.firmware for m in MACHINES if m.firmware):
        missing = firmware.missing()
        found = "installed" if missing is None else f"{missing} is not installed"
        fix = f"apt-get install {firmware.package}"
        yield Check(f"UEFI {firmware.package}", found, missing is None, fix, needed=False)
    yield _check_program("mcopy", "mtools", "makes UEFI volumes")
    for module, package in _MODULES.items():
        there = importlib.util.find_spec(module) is not None
        found = "installed" if there else "not installed"
        yield Check(f"python3 {module}", found, there, f"apt-get install {package}")
    for machine in {machine.arch: machine for machine in MACHINES}.values():
        yield _check_kernel(machine)
    free = free_bytes("/dev/shm")
    yield Check(
        "/dev/shm",
        f"{free >> 20} MiB free" + ("" if free >= _ROOM_BYTES else "; $TMPDIR is used instead"),
        free >= _ROOM_BYTES,
        "mount -o remount,size=2G /dev/shm   (docker run --shm-size=2g)",
        needed=False,
    )
    yield _check_kvm()


def _check_program(name: str, package: str, purpose: str) -> Check:
    found = "installed" if shutil.which(name) else "not installed"
    fix = f"apt-get install {package}"
    return Check(name, f"{found} ({purpose})", found == "installed", fix, needed=False)


def _check_qemu(binary: str, machine: Machine) -> Check:
    fix = f"apt-get install {machine.package}"
    if (path := shutil.which(binary)) is None:
        return Check(binary, "not installed", False, fix)
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(binary, f"does not run: {error}", False, fix)
    match = re.search(r"version (\d+)\.(\d+)[\d.]*", said)
    if match is None:
        return Check(binary, f"prints no version: {said[:60]!r}", False, fix)
    good = (int(match.group(1)), int(match.group(2))) >= MINIMUM_QEMU
    found = match.group(0).removeprefix("version ")
    needed = ".".join(map(str, MINIMUM_QEMU))
    return Check(binary, found if good else f"{found}, but {needed} is needed", good, fix)


def _check_kernel(machine: Machine) -> Check:
    what = f"kernel {machine.arch}"
    try:
        size = find_images(machine).kernel.stat().st_size
    except InfraError as error:
        return Check(what, error.what, False, "scripts/khorig run   (builds what it needs)")
    return Check(what, f"built, {size >> 10} KiB", True)


def _check_kvm() -> Check:
    try:
        why = probe_kvm()
    except InfraError as error:
        why = f"not tried: {error.what}"
    return Check("KVM", why or "runs a guest", not why, needed=False)
