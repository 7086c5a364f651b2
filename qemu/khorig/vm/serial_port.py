# SPDX-License-Identifier: BSD-3-Clause
"""The guest's console."""

from __future__ import annotations

import socket
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from khorig.guest.event import GuestEvent
from khorig.mem.untrusted import Untrusted, read_object

EVENT_PREFIX = "@khorig "

_MAX_LINE = 1 << 20  # bytes; a longer one is cut into pieces
_TAIL_LINES = 40


@dataclass(frozen=True)
class ConsoleLine:
    """A line of plain text."""

    text: str
    host_s: float  # CLOCK_MONOTONIC


@dataclass(frozen=True)
class GarbledLine:
    """A line that starts like an event but is invalid."""

    text: str
    why: str
    host_s: float


ConsoleItem = Union[ConsoleLine, GuestEvent, GarbledLine]


class SerialPort:
    """Keeps every byte from the first on in a file, as it came, and splits it into lines."""

    def __init__(self, connection: socket.socket, log: Path) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._log = log.open("wb", buffering=0)
        self._partial = b""
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)  # the last lines, events included
        self.total_bytes = 0
        self.last_byte_s = time.monotonic()
        self.closed = False

    def __enter__(self) -> SerialPort:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()
        self._socket.close()

    def fileno(self) -> int:
        """File descriptor, readable when the guest has sent data."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Sends `data`. Errors are ignored: the guest's exit is detected elsewhere."""
        try:
            self._socket.sendall(data)
        except OSError:
            self.closed = True

    def receive(self) -> list[ConsoleItem]:
        """Received lines; does not block. At the end of the stream the last line may lack a
        newline."""
        items: list[ConsoleItem] = []
        while not self.closed:
            try:
                chunk = self._socket.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                chunk = b""
            items += self._take(chunk)
        return items

    def _take(self, chunk: bytes) -> list[ConsoleItem]:
        now = time.monotonic()
        if not chunk:
            self.closed = True
            lines, self._partial = ([self._partial] if self._partial else []), b""
        else:
            self._log.write(chunk)
            self.total_bytes += len(chunk)
            self.last_byte_s = now
            *lines, self._partial = (self._partial + chunk).split(b"\n")
            if len(self._partial) > _MAX_LINE:
                lines.append(self._partial)
                self._partial = b""
        return [self._item(line, now) for line in lines]

    def _item(self, line: bytes, now: float) -> ConsoleItem:
        text = line.decode("utf-8", "replace").rstrip("\r")
        self.tail.append(text)
        return parse_line(text, now)


def parse_line(text: str, host_s: float) -> ConsoleItem:
    """Separates events from text. An event may start within a line that was interrupted by a
    panic."""
    start = text.rfind(EVENT_PREFIX + "{")
    why = "no object follows"
    if start >= 0:
        try:
            return _parse_event(text[start + len(EVENT_PREFIX) :], host_s)
        except Untrusted as error:
            why = str(error)
    if text.startswith(EVENT_PREFIX):
        return GarbledLine(text, why, host_s)
    return ConsoleLine(text, host_s)


def _parse_event(text: str, host_s: float) -> GuestEvent:
    fields = read_object(text, _MAX_LINE)
    kind, generation, now = (fields.get(name) for name in ("ev", "gen", "t"))
    if not isinstance(kind, str):
        raise Untrusted("'ev' is missing or not a string")
    for name, value in (("gen", generation), ("t", now)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Untrusted(f"'{name}' is missing or not a count")
    assert isinstance(generation, int) and isinstance(now, int)
    return GuestEvent(kind, generation, now, host_s, fields)
