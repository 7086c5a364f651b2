# SPDX-License-Identifier: BSD-3-Clause
"""Images of guest RAM saved by a run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable

from khorig.guest.event import EventFieldError, GuestEvent
from khorig.guest.facts import parse_frames, parse_scratch
from khorig.vm.cancellation import Cancellation
from khorig.vm.machines.machine import Machine
from khorig.vm.ram_image import save_ram_image
from khorig.vm.vm import Vm


class ImageFacts:
    """Facts from guest events for the sidecar of an image. Events are untrusted: invalid values are
    omitted and noted, so that the image stays readable."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._left_out: dict[str, str] = {}

    def take(self, event: GuestEvent) -> None:
        """Processes any event."""
        if event.kind == "boot":
            self._forget("scratch", "frames")
            self._keep("parameters", lambda: _text(event.address("parameters")), event)
        elif event.kind == "memory":
            self._keep("scratch", lambda: _areas(event), event)
            self._keep("frames", lambda: _frames(event), event)
        elif event.kind == "stop" and "root" in event.fields:
            self._keep("root", lambda: _text(event.address("root")), event)

    def description(self) -> dict[str, Any]:
        """Fields of the sidecar (khorig.mem.formats.sidecar)."""
        names = ("root", "parameters", "scratch", "frames")
        found = {name: self._values.get(name) for name in names}
        return {**found, "left_out": list(self._left_out.values())}

    def _forget(self, *names: str) -> None:
        for name in names:
            self._values.pop(name, None)
            self._left_out.pop(name, None)

    def _keep(self, name: str, read: Callable[[], Any], event: GuestEvent) -> None:
        self._forget(name)
        if name not in event.fields:
            return
        try:
            self._values[name] = read()
        except EventFieldError as error:
            self._left_out[name] = str(error)


def _text(address: int) -> str:
    return f"{address:#x}"


def _areas(event: GuestEvent) -> list[list[str]]:
    return [[_text(area.begin), _text(area.size)] for area in parse_scratch(event)]


def _frames(event: GuestEvent) -> dict[str, Any]:
    table, first, count = parse_frames(event)
    return {"table": _text(table), "first": first, "count": count}


class StopImages:
    """Saves images in the folder of a run, within a time limit of its own."""

    def __init__(
        self,
        directory: Path,
        machine: Machine,
        cancellation: Cancellation,
        page_shift: int | None,
        limit_s: float,
    ) -> None:
        """`page_shift` is that of all kernels of the run, None where one may have pages of another
        size; `limit_s` is for all images."""
        self._directory = directory
        self._machine = machine
        self._cancellation = cancellation
        self._page_shift = page_shift
        self._limit_s = self._left_s = limit_s
        self.facts = ImageFacts()

    def save(self, vm: Vm, generation: int, at: str) -> dict[str, Any]:
        """Saves one image and returns its journal record: `file`, and `left_out` with the reason if
        it would have taken too long. Raises OSError (e.g. disk full), Interrupted."""
        name = f"gen{generation}.{at}"
        record = {"file": f"{name}.ram.zst"}
        description = {
            "arch": self._machine.arch,
            "machine": self._machine.name,
            "page_shift": self._page_shift,
            "generation": generation,
            "at": at,
            **self.facts.description(),
            "ram_map": [[hex(r.gpa), hex(r.size), hex(r.offset)] for r in vm.ram.regions],
        }
        began_s = time.monotonic()
        until_s = began_s + self._left_s
        try:
            save_ram_image(
                vm.ram_file, self._directory / name, description, lambda: self._check(until_s)
            )
        except TimeoutError:
            record["left_out"] = f"time limit of {self._limit_s:g} s for the images of a run"
        finally:
            self._left_s -= time.monotonic() - began_s
        return record

    def _check(self, until_s: float) -> None:
        self._cancellation.check()
        if time.monotonic() >= until_s:
            raise TimeoutError
