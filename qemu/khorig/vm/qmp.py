# SPDX-License-Identifier: BSD-3-Clause
"""QEMU's machine protocol."""

from __future__ import annotations

import json
import select
import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from khorig.vm.errors import InfraError
from khorig.vm.journal import Journal


@dataclass(frozen=True)
class QmpEvent:
    """Something QEMU reports unasked: SHUTDOWN, RESET, GUEST_PANICKED, ..."""

    name: str
    data: Mapping[str, Any]


class QmpClosed(InfraError):
    """QEMU has closed the connection: it is ending or has ended."""


class Qmp:
    """A QMP connection. Events are never dropped: those that arrive while a reply is awaited are
    delivered by the next `receive`. Everything sent and received goes to the journal."""

    def __init__(self, connection: socket.socket, journal: Journal, reply_timeout_s: float) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._journal = journal
        self.reply_timeout_s = reply_timeout_s
        self._pending = b""
        self._messages: deque[dict[str, Any]] = deque()
        self._events: deque[QmpEvent] = deque()
        self.closed = False

    def fileno(self) -> int:
        """Readable when QEMU has said something."""
        return self._socket.fileno()

    def handshake(self) -> str:
        """Waits for QEMU's greeting, enables commands and returns QEMU's version ("7.2.22").
        Raises QmpClosed, and InfraError when QEMU does not answer."""
        greeting = self._await("QMP")
        version = greeting.get("version", {}).get("qemu", {})
        self.execute("qmp_capabilities")
        return ".".join(str(version.get(part, "?")) for part in ("major", "minor", "micro"))

    def execute(self, command: str, **arguments: Any) -> Any:
        """Runs a command and returns its result. Raises QmpClosed, and InfraError when QEMU
        refuses it or does not answer."""
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        return self._ask(request)

    def give(self, name: str, descriptor: int) -> None:
        """Hands QEMU an open file, which other commands then know as fd:`name`. Raises as
        `execute`."""
        self._ask({"execute": "getfd", "arguments": {"fdname": name}}, [descriptor])

    def _ask(self, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> Any:
        self._log("sent", request)
        line = json.dumps(request).encode() + b"\n"
        try:
            if descriptors:
                line = line[socket.send_fds(self._socket, [line], descriptors) :]
            self._socket.sendall(line)
        except OSError as error:  # what QEMU said before it went can still be read
            raise QmpClosed(f"QEMU is gone: {error.strerror}") from error
        return self._await("return")

    def monitor(self, command: str) -> str:
        """Runs a command of the human monitor and returns its text. Raises as `execute`."""
        return str(self.execute("human-monitor-command", **{"command-line": command}))

    def receive(self) -> list[QmpEvent]:
        """The events that have arrived; does not wait."""
        self._read()
        self._sort()
        events = list(self._events)
        self._events.clear()
        return events

    def _await(self, key: str) -> Any:
        deadline = time.monotonic() + self.reply_timeout_s
        while True:
            self._read()
            reply = self._sort()
            if reply is not None:
                if "error" in reply:
                    raise InfraError(f"QEMU refuses: {reply['error'].get('desc', reply['error'])}")
                if key in reply:
                    return reply[key]
            if self.closed:
                raise QmpClosed("QEMU closed the QMP connection")
            left = deadline - time.monotonic()
            if left <= 0:
                raise InfraError(f"QEMU did not answer on QMP for {self.reply_timeout_s:.0f} s")
            select.select([self._socket], [], [], left)

    def _read(self) -> None:
        while not self.closed:
            try:
                chunk = self._socket.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            if not chunk:
                self.closed = True
                return
            *lines, self._pending = (self._pending + chunk).split(b"\n")
            for line in lines:
                self._parse(line)

    def _parse(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            self._log("garbled", line.decode("utf-8", "replace"))
            return
        self._log("received", message)
        self._messages.append(message)

    def _sort(self) -> dict[str, Any] | None:
        """Moves events to their queue; returns the first message that is none, if any."""
        while self._messages:
            message = self._messages.popleft()
            if "event" not in message:
                return message
            self._events.append(QmpEvent(str(message["event"]), message.get("data") or {}))
        return None

    def _log(self, direction: str, message: Any) -> None:
        self._journal.write({"s": round(time.monotonic(), 6), direction: message})
