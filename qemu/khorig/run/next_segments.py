# SPDX-License-Identifier: BSD-3-Clause
"""Where the next kernel lies in RAM, piece by piece."""

from __future__ import annotations

import re
from typing import Any

from khorig.guest.event import EventFieldError, GuestEvent, parse_address
from khorig.mem.memory import PhysRange

_MOST = 16  # KEXEC_SEGMENT_MAX
# Of kexec_file_load() with KEXEC_FILE_DEBUG: the names first, each with its place, then all places
# with their sizes.
_LOADED = re.compile(r"Loaded (\w[\w ,-]{0,60}) at (0x[0-9a-f]{1,16})\b")
_SEGMENT = re.compile(r"segment\[\d+\]: .* mem=(0x[0-9a-f]{1,16}) memsz=(0x[0-9a-f]{1,16})")
_SHORT = {"64bit kernel": "kernel", "boot_param, command line and misc": "parameters"}
_SCRATCH = "scratch"


class NextSegments:
    """The segments of the next kernel, by the event `segments` of a khorig or by the log of a
    Linux; and scratch, to which the next kernel has nothing but itself."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._segments: list[tuple[str, PhysRange]] = []
        self._scratch: dict[str, list[int]] = {}

    def on_event(self, event: GuestEvent) -> None:
        """Every event of the generation that loads. What is malformed is as if it were absent."""
        if event.kind == "boot":
            self._names, self._segments, self._scratch = {}, [], {}
        elif event.kind == "segments":
            self._segments = list(_named(event.fields.get("list")))
        elif event.kind == "kernel-log":
            self._on_log(str(event.fields.get("text")))
        elif event.kind == "memory":
            areas = [_range(item) for item in _lists(event.fields.get("scratch"))]
            self._scratch["begin"] = [area.begin for area in areas if area]
            self._scratch["size"] = [area.size for area in areas if area]
        elif event.kind == "debugfs":
            self._on_debugfs(event)

    def _on_log(self, text: str) -> None:
        if "nr_segments = " in text:
            self._segments = []  # of an image that is loaded anew
        if (loaded := _LOADED.search(text)) is not None and len(self._names) < _MOST:
            self._names[int(loaded[2], 16)] = _SHORT.get(loaded[1], loaded[1])
        if (segment := _SEGMENT.search(text)) is not None and len(self._segments) < _MOST:
            area = PhysRange(int(segment[1], 16), int(segment[2], 16))
            self._segments.append((self._names.get(area.begin, "segment"), area))

    def _on_debugfs(self, event: GuestEvent) -> None:
        name = str(event.fields.get("file")).rpartition("_")[2]
        words = str(event.fields.get("text")).split()
        if name in ("phys", "len"):
            try:
                self._scratch[{"phys": "begin", "len": "size"}[name]] = [int(w, 16) for w in words]
            except ValueError:
                pass

    @property
    def are_known(self) -> bool:
        """Whether an address outside of them is none of the next kernel's."""
        return bool(self._segments)

    def segment_at(self, at: int) -> tuple[str, int] | None:
        """Name and begin of what has a physical address: a segment, or scratch."""
        for name, area in self._segments:
            if area.begin <= at < area.end:
                return name, area.begin
        for begin, size in zip(self._scratch.get("begin", []), self._scratch.get("size", [])):
            if begin <= at < begin + size:
                return _SCRATCH, begin
        return None

    def describe(self, at: int) -> str:
        """ "kernel+0x200", "" outside."""
        found = self.segment_at(at)
        return f"{found[0]}+{at - found[1]:#x}" if found else ""


def _named(value: Any) -> list[tuple[str, PhysRange]]:
    found = [(item[0], _range(item[1:])) for item in _lists(value) if item]
    return [(name, area) for name, area in found if isinstance(name, str) and area is not None]


def _lists(value: Any) -> list[list[Any]]:
    return [item for item in value if isinstance(item, list)] if isinstance(value, list) else []


def _range(value: list[Any]) -> PhysRange | None:
    if len(value) < 2:
        return None
    try:
        begin, size = (parse_address(item, "address") for item in value[:2])
    except EventFieldError:
        return None
    return PhysRange(begin, size)
