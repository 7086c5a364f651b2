# SPDX-License-Identifier: BSD-3-Clause
"""Checks a `-cpu` option with QEMU."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any, Iterator

from khorig.mem.untrusted import Untrusted, read_object
from khorig.vm.machines.machine import Machine

_TIMEOUT_S = 10.0
_LARGEST = 1 << 20  # bytes of a reply
_SWITCH = {"on": True, "off": False}


def why_no_cpu(machine: Machine, value: str, qemu: str = "") -> str | None:
    """Why the kernel cannot run on the CPU of `-cpu VALUE` of the QEMU that --qemu names, in QEMU's
    words where it does not know that CPU; None when it can, and when QEMU cannot be asked, which
    its own start tells best. Raises InfraError when there is no such QEMU."""
    properties = _expand(machine, value, qemu)
    if properties is None or isinstance(properties, str):
        return properties
    if properties.get(machine.cpu_property, False):
        return None
    return "the kernel needs a 64-bit CPU"


def _expand(machine: Machine, value: str, qemu: str) -> dict[str, Any] | str | None:
    """Properties of a CPU, or QEMU's error."""
    if (program := shutil.which(machine.emulator(qemu))) is None:
        return None
    name, *words = value.split(",")
    model = {"name": name, "props": dict(_property(word) for word in words)}
    arguments = {"type": "full", "model": model}
    requests = (
        {"execute": "qmp_capabilities"},
        {"execute": "query-cpu-model-expansion", "arguments": arguments},
        {"execute": "quit"},
    )
    try:
        done = subprocess.run(
            [program, "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"],
            input="".join(json.dumps(request) + "\n" for request in requests).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    for reply in _objects(done.stdout):
        if isinstance(error := reply.get("error"), dict):
            return str(error.get("desc"))
        found = reply.get("return")
        if isinstance(found, dict) and isinstance(found.get("model"), dict):
            properties = found["model"].get("props")
            return properties if isinstance(properties, dict) else None
    return None


def _property(word: str) -> tuple[str, Any]:
    """ "la57=off", "+avx", "-lm"; QEMU accepts underscores for dashes."""
    if word[:1] in ("+", "-"):
        return word[1:].replace("_", "-"), word[0] == "+"
    name, equals, setting = word.partition("=")
    return name.replace("_", "-"), _SWITCH.get(setting, setting) if equals else True


def _objects(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        try:
            yield read_object(line, _LARGEST)
        except Untrusted:
            continue
