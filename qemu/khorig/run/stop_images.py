# SPDX-License-Identifier: BSD-3-Clause
"""Images of guest RAM saved by a run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator

from khorig.guest.event import EventFieldError, GuestEvent
from khorig.guest.facts import parse_frames, parse_scratch
from khorig.guest.spec import RunSpec
from khorig.run.keep import Keep
from khorig.vm.cancellation import Cancellation
from khorig.vm.limits import Limits
from khorig.vm.machines.machine import Machine
from khorig.vm.ram_image import RamBytes, save_ram_image
from khorig.vm.vm import Vm

if TYPE_CHECKING:
    from khorig.vm.ram_history import RamHistory


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
    """Saves images in the folder of a run, within a time limit of its own.

    What only a failed run is to leave is kept meanwhile as a RamHistory, and dropped when the run
    passes.
    """

    def __init__(
        self,
        directory: Path,
        machine: Machine,
        cancellation: Cancellation,
        spec: RunSpec,
        limits: Limits,
        keep: Keep,
    ) -> None:
        self._directory = directory
        self._machine = machine
        self._cancellation = cancellation
        self._spec = spec
        self._limit_s = self._left_s = limits.images_s  # for all images
        self._keep = keep
        self._history: RamHistory | None = None
        self._noted: list[dict[str, Any]] = []  # descriptions of what the history has
        self.facts = ImageFacts()

    def at_stop(self, vm: Vm, generation: int, at: str) -> Iterator[dict[str, Any]]:
        """The journal records of what is saved at a stop: `file`, and `left_out` with the reason
        when there is no image. Raises OSError (e.g. disk full), Interrupted."""
        if self._keep is Keep.EVERY:
            yield self._save(vm.ram_file, self._describe(vm, generation, at))
        elif self._keep is Keep.FAILED:
            description = self._describe(vm, generation, at)
            try:
                if self._history is None:
                    from khorig.vm.ram_history import RamHistory  # slow import, before QEMU starts

                    self._history = RamHistory(vm.ram_file, self._directory)
                self._history.note()
                self._noted.append(description)
            except OSError as error:
                self._forget()
                self._keep = Keep.END
                why = f"no copy of guest RAM at this stop and the others: {error.strerror}"
                yield {"file": _file_of(description), "left_out": why}

    def at_end(self, vm: Vm, generation: int, failed: bool) -> Iterator[dict[str, Any]]:
        """The same at the end of a run: also what was kept of its stops, the last one first."""
        if failed or self._keep is Keep.EVERY:
            yield self._save(vm.ram_file, self._describe(vm, generation, "end"))
        if failed and self._history is not None:
            while self._noted:
                yield self._save(self._history, self._noted.pop())
                if self._noted:
                    self._history.back()
        self._forget()

    def _forget(self) -> None:
        if self._history is not None:
            self._history.close()
        self._history, self._noted = None, []

    def _describe(self, vm: Vm, generation: int, at: str) -> dict[str, Any]:
        return {
            "arch": self._machine.arch,
            "machine": self._machine.name,
            "page_shift": self._spec.page_shift_at(generation, at),
            "generation": generation,
            "at": at,
            **self.facts.description(),
            "ram_map": [[hex(r.gpa), hex(r.size), hex(r.offset)] for r in vm.ram.regions],
        }

    def _save(self, ram: RamBytes, description: dict[str, Any]) -> dict[str, Any]:
        record = {"file": _file_of(description)}
        path = self._directory / _name_of(description)
        began_s = time.monotonic()
        until_s = began_s + self._left_s
        try:
            save_ram_image(ram, path, description, lambda: self._check(until_s))
        except TimeoutError:
            record["left_out"] = f"time limit of {self._limit_s:g} s for the images of a run"
        finally:
            self._left_s -= time.monotonic() - began_s
        return record

    def _check(self, until_s: float) -> None:
        self._cancellation.check()
        if time.monotonic() >= until_s:
            raise TimeoutError


def _name_of(description: dict[str, Any]) -> str:
    return f"gen{description['generation']}.{description['at']}"


def _file_of(description: dict[str, Any]) -> str:
    return _name_of(description) + ".ram.zst"
