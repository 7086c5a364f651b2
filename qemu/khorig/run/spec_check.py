# SPDX-License-Identifier: BSD-3-Clause
"""Checks a specification that came from elsewhere, before anything is run for it."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Iterator

from khorig.guest.chain_run import ChainRun, split_build
from khorig.guest.khorig_run import KhorigRun
from khorig.guest.numa import why_no_numa
from khorig.guest.spec import ACCELERATORS, BOOTS, PAGE_SIZES, RunSpec
from khorig.mem.untrusted import Untrusted, shown
from khorig.run.sequence import STOPS
from khorig.vm.machines import MACHINES
from khorig.vm.needed_devices import NEEDED_DEVICES

_RAM_UNIT = 1 << 16  # bytes
_MOST_RAM = 1 << 40  # bytes; the file of it is sparse
_MOST_CPUS = 288
_MOST_GENERATIONS = 1 << 20
_LONGEST_S = 1e7
_LONGEST_TEXT = 4096  # characters
_NAME = re.compile(r"[\w@=+-][\w.@=+-]{0,99}")  # a part of a folder's name, no place elsewhere


def check_spec(spec: RunSpec) -> None:
    """Raises Untrusted for a machine that is not known, a number out of its range, a name that is
    part of a folder's and not a plain word, and text with control characters."""
    machines = {machine.name: machine for machine in MACHINES}
    if spec.machine not in machines or machines[spec.machine].arch != spec.arch:
        raise Untrusted(f"machine {shown(f'{spec.arch}/{spec.machine}')} is not known")
    for what, value, least, most in (
        ("memory", spec.memory, _RAM_UNIT, _MOST_RAM),
        ("smp", spec.smp, 1, _MOST_CPUS),
        ("seed", spec.seed, 0, (1 << 64) - 1),
        ("generations", spec.generations, 1, _MOST_GENERATIONS),
        ("timeout_s", spec.timeout_s, 0, _LONGEST_S),
    ):
        if not least <= value <= most:
            raise Untrusted(f"'{what}': {value}, expected {least} to {most}")
    if spec.memory % _RAM_UNIT:
        raise Untrusted(f"'memory': {spec.memory:#x} is no multiple of {_RAM_UNIT:#x}")
    if why := why_no_numa(spec):
        raise Untrusted(f"'numa': {why}")
    if spec.boot not in BOOTS:
        raise Untrusted(f"'boot': {shown(spec.boot)}, expected one of {', '.join(BOOTS)}")
    if spec.accel not in ACCELERATORS:
        what = f"'accel': {shown(spec.accel)}, expected one of {', '.join(ACCELERATORS)}"
        raise Untrusted(what)
    for device in spec.devices:
        if device not in NEEDED_DEVICES:
            known = ", ".join(NEEDED_DEVICES)
            raise Untrusted(f"'devices': {shown(device)}, expected one of {known}")
    for stop in spec.stops:
        if stop not in STOPS:
            raise Untrusted(f"'stops': {shown(stop)}, expected one of {', '.join(STOPS)}")
    if isinstance(spec, KhorigRun):
        _check_page_sizes(spec)
    kernels = spec.kernels if isinstance(spec, ChainRun) else (spec.what,)
    names = (split_build(name)[0] for name in kernels)
    for name in (*names, *spec.defects):
        if _NAME.fullmatch(name) is None:
            raise Untrusted(f"{shown(name)} is no name of a kernel, scenario, fault or tampering")
    for text in _texts([getattr(spec, field.name) for field in dataclasses.fields(spec)]):
        if len(text) > _LONGEST_TEXT or not text.isprintable():
            raise Untrusted(f"{shown(text)} is too long, or has control characters")


def _check_page_sizes(spec: KhorigRun) -> None:
    sizes = spec.page_sizes
    if not 1 <= len(sizes) <= 2 or not set(sizes) <= set(PAGE_SIZES):
        known = ", ".join(PAGE_SIZES)
        raise Untrusted(f"'page_sizes': {shown(','.join(sizes))}, expected one or two of {known}")
    if spec.arch != "arm64" and sizes != KhorigRun.page_sizes:
        raise Untrusted(f"'page_sizes': {sizes[-1]}, which {spec.arch} does not have")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif dataclasses.is_dataclass(value):
        yield str(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
