# SPDX-License-Identifier: BSD-3-Clause
"""Finds the plugin that a QEMU can load."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from khorig.vm.build_outputs import build_directories
from khorig.vm.probe.errors import NoProbe

# QEMU's version from which on it has this version of the plugin interface (its qemu-plugin.h);
# until the next line. 10.0 also loads plugins of earlier versions, down to 2; 11.1 only 7.
_APIS = (
    ((7, 2), 1),
    ((9, 0), 2),
    ((9, 1), 3),
    ((9, 2), 4),
    ((10, 1), 5),
    ((10, 2), 6),
    ((11, 1), 7),
)
# Before, qemu_plugin_hwaddr_phys_addr gave the address in QEMU's block of RAM.
_REPORTS_PHYSICAL = (8, 2)
_VERSION = re.compile(r"version (\d+)\.(\d+)")
_ANSWER_S = 20.0


@dataclass(frozen=True)
class ProbeOptions:
    """A probe for a `Vm`. `stores` and `fetches` give every block or store a callback, which takes
    time, and without them `watch` and `expect_inside` see nothing."""

    plugin: Path
    reports_physical: bool
    stores: bool = False
    fetches: bool = False


def find_probe(binary: str, stores: bool = False, fetches: bool = False) -> ProbeOptions:
    """The probe for a QEMU binary, by its version. Raises NoProbe with the reason when that QEMU
    cannot load a plugin, or the plugin is not built."""
    path = shutil.which(binary)
    if path is None:
        raise NoProbe(f"{binary} is not installed, or not in $PATH")
    return replace(_find(path), stores=stores, fetches=fetches)


def api_of(version: tuple[int, int]) -> int | None:
    """The version of the plugin interface of a QEMU; None before 7.2."""
    found = None
    for first, api in _APIS:
        if version >= first:
            found = api
    return found


@functools.lru_cache
def _find(path: str) -> ProbeOptions:
    try:
        done = subprocess.run(
            [path, "--help"], capture_output=True, timeout=_ANSWER_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NoProbe(f"{path} --help: {error}") from error
    text = done.stdout.decode("utf-8", "replace")
    match = _VERSION.search(text)
    if match is None:
        raise NoProbe(f"{path} --help names no version")
    version = int(match[1]), int(match[2])
    name = ".".join(match.groups())
    api = api_of(version)
    if api is None:
        raise NoProbe(f"QEMU {name} is too old for the probe")
    if "-plugin" not in text:
        raise NoProbe(f"QEMU {name} was built without plugins")
    return ProbeOptions(_built(f"probe-api{api}.so"), version >= _REPORTS_PHYSICAL)


def _built(name: str) -> Path:
    """Bazel builds it beside the kernels."""
    for kernels in build_directories():
        path = kernels.parent / "qemu" / "probe" / name
        if path.is_file():
            return path
    raise NoProbe(f"{name} is not built (fix: bazel build //qemu/probe:plugins)")
