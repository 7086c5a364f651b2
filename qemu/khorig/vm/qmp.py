# SPDX-License-Identifier: BSD-3-Clause
"""QMP client."""

from __future__ import annotations

import json
import select
import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from khorig.mem.untrusted import Untrusted, count, read_object, shown
from khorig.vm.cancellation import Cancellation
from khorig.vm.errors import InfraError
from khorig.vm.journal import Journal

_LONGEST = 8 << 20  # bytes of a message; the registers of 255 CPUs are less than 1 MiB
_CHUNKS = 64  # read before the clock is checked


@dataclass(frozen=True)
class QmpEvent:
    """An asynchronous event: SHUTDOWN, RESET, GUEST_PANICKED, ..."""

    name: str
    data: Mapping[str, Any]


class QmpClosed(InfraError):
    """QEMU closed the connection: it is exiting or has exited."""


class Qmp:
    """A QMP connection. Events are never dropped: those that arrive while a reply is awaited are
    delivered by the next `receive`. Everything sent and received goes to the journal."""

    def __init__(
        self,
        connection: socket.socket,
        journal: Journal,
        reply_timeout_s: float,
        cancellation: Cancellation | None = None,
    ) -> None:
        """What ends every wait here: a reply, `reply_timeout_s`, QEMU's end, or `cancellation`,
        with Interrupted."""
        self._socket = connection
        self._cancellation = cancellation
        self._overdue = 0  # timed-out replies that may still arrive
        self._socket.setblocking(False)
        self._journal = journal
        self.reply_timeout_s = reply_timeout_s
        self._pending = b""
        self._messages: deque[dict[str, Any]] = deque()
        self._events: deque[QmpEvent] = deque()
        self.closed = False

    def fileno(self) -> int:
        """File descriptor, readable when QEMU has sent data."""
        return self._socket.fileno()

    def handshake(self) -> str:
        """Waits for QEMU's greeting, enables commands and returns QEMU's version ("7.2.22").
        Raises QmpClosed, and InfraError when QEMU does not answer."""
        greeting = self._await("QMP")
        try:
            version = greeting["version"]["qemu"]
            numbers = [count(version[part]) for part in ("major", "minor", "micro")]
        except (LookupError, TypeError, Untrusted):
            raise InfraError(f"QEMU's greeting has no version: {shown(greeting)}") from None
        self.execute("qmp_capabilities")
        return ".".join(map(str, numbers))

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
            self._send(line)
        except OSError as error:  # earlier data of QEMU can still be read
            raise QmpClosed(f"lost connection to QEMU: {error.strerror}") from error
        return self._await("return")

    def _send(self, line: bytes) -> None:
        deadline = time.monotonic() + self.reply_timeout_s
        while line:
            try:
                line = line[self._socket.send(line) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)

    def monitor(self, command: str, cpu: int = 0) -> str:
        """Runs a human monitor command, as CPU `cpu` sees things, and returns its output. Raises as
        `execute`."""
        arguments: dict[str, Any] = {"command-line": command}
        if cpu:
            arguments["cpu-index"] = cpu
        return str(self.execute("human-monitor-command", **arguments))

    def receive(self) -> list[QmpEvent]:
        """Received events; does not block."""
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
            if reply is not None and self._overdue:
                self._overdue -= 1  # QEMU answers in order
                continue
            if reply is not None:
                if "error" in reply:
                    raise InfraError(f"QMP error: {_reason(reply['error'])}")
                if key in reply:
                    return reply[key]
            if self.closed:
                raise QmpClosed("QEMU closed the QMP connection")
            try:
                self._wait(select.POLLIN, deadline)
            except InfraError:
                self._overdue += 1
                raise

    def _wait(self, event: int, deadline: float) -> None:
        """Waits for the socket. Raises InfraError on timeout, Interrupted."""
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise InfraError(f"QEMU did not answer on QMP for {self.reply_timeout_s:.0f} s")
        ready = select.poll()  # select() is limited to descriptors below 1024
        ready.register(self._socket, event)
        if self._cancellation is not None:
            self._cancellation.check()
            ready.register(self._cancellation.fileno(), select.POLLIN)
        ready.poll(left_s * 1000)

    def _read(self) -> None:
        """Received data, bounded in size."""
        for _ in range(_CHUNKS):
            if self.closed:
                return
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
            if len(self._pending) > _LONGEST:
                self.closed = True
                raise InfraError(f"QEMU sent more than {_LONGEST} bytes on QMP without a newline")
            for line in lines:
                self._parse(line)

    def _parse(self, line: bytes) -> None:
        try:
            message = read_object(line, _LONGEST)
        except Untrusted:
            self._log("garbled", line.decode("utf-8", "replace"))
            return
        self._log("received", message)
        self._messages.append(message)

    def _sort(self) -> dict[str, Any] | None:
        """Queues events; returns the first other message, if any."""
        while self._messages:
            message = self._messages.popleft()
            if "event" not in message:
                return message
            data = message.get("data")
            fields = data if isinstance(data, dict) else {}
            self._events.append(QmpEvent(str(message["event"]), fields))
        return None

    def _log(self, direction: str, message: Any) -> None:
        self._journal.write({"s": round(time.monotonic(), 6), direction: message})


def _reason(error: object) -> str:
    """Error text of a command."""
    return str(error["desc"]) if isinstance(error, dict) and "desc" in error else shown(error)
