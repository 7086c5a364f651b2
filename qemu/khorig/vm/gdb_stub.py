# SPDX-License-Identifier: BSD-3-Clause
"""Client of QEMU's gdb stub (gdb manual, appendix "Remote Serial Protocol")."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass

from khorig.vm.errors import InfraError

_CONNECT_S = 20.0
_REPLY_S = 60.0
_WATCH = re.compile(rb"watch:([0-9a-f]+)")
_LONGEST = 1 << 20  # bytes of a packet

# Where the program counter is among the registers, of 8 bytes up to there.
_PC = {"x86_64": 16, "arm64": 32}


@dataclass(frozen=True)
class Halt:
    """Why the guest stopped."""

    watched: int | None  # virtual address of the store that a watchpoint saw


class GdbStub:
    """A connection. The guest stands still when it is made, and every method but `go`, `go_back`
    and `halted` needs a guest that does. Every method raises InfraError when QEMU is gone or does
    not answer."""

    def __init__(self, port: int, arch: str) -> None:
        self._pc = _PC[arch]
        deadline = time.monotonic() + _CONNECT_S
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=_REPLY_S)
                break
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise InfraError(f"no gdb stub on port {port}: {error.strerror}") from error
                time.sleep(0.02)
        self._pending = b""
        self._ask(b"?")

    def close(self) -> None:
        """Leaves the guest as it is. What comes next with `?`, as gdb does, clears watchpoints."""
        self._socket.close()

    def watch(self, address: int, size: int, wanted: bool = True) -> None:
        """Halts after a store to a range of virtual addresses; not `wanted`: no longer."""
        self._ok(f"{'Z' if wanted else 'z'}2,{address:x},{size:x}")

    def breakpoint(self, address: int, wanted: bool = True) -> None:
        """Halts before the instruction at a virtual address; not `wanted`: no longer."""
        self._ok(f"{'Z' if wanted else 'z'}1,{address:x},1")

    def pc(self) -> int:
        """Program counter of the CPU that halted."""
        registers = self._ask(b"g")  # without a description of the target there is no `p`
        word = registers[self._pc * 16 : self._pc * 16 + 16]
        try:
            return int.from_bytes(bytes.fromhex(word.decode("ascii")), "little")
        except ValueError as error:
            raise InfraError(f"QEMU's gdb stub has no registers: {error}") from error

    def read_u64(self, address: int) -> int:
        """A word at a virtual address of the CPU that halted."""
        reply = self._ask(b"m%x,8" % address)
        try:
            return int.from_bytes(bytes.fromhex(reply.decode("ascii")), "little")
        except ValueError as error:
            raise InfraError(f"QEMU's gdb stub cannot read {address:#x}") from error

    def go(self) -> None:
        """Lets all CPUs run."""
        self._send(b"c")

    def step(self) -> Halt:
        """Executes one instruction of the CPU that halted."""
        self._send(b"s")
        return self.halted()

    def go_back(self) -> None:
        """Lets a recorded run go back: to behind the last store to a watched range or the last
        breakpoint before, or to its start. `halted` does not say which."""
        self._send(b"bc")

    def step_back(self) -> None:
        """Takes one instruction of a recorded run back."""
        self._send(b"bs")
        self.halted()

    def halted(self) -> Halt:
        """Waits for the guest to halt."""
        self._socket.settimeout(None)
        packet = self._receive()
        self._socket.settimeout(_REPLY_S)
        if packet[:1] not in (b"T", b"S"):
            raise InfraError("the guest ended under the debugger")
        match = _WATCH.search(packet)
        return Halt(int(match[1], 16) if match else None)

    def _ok(self, command: str) -> None:
        if (reply := self._ask(command.encode())) != b"OK":
            raise InfraError(
                f"QEMU's gdb stub refuses {command}: {reply.decode('ascii', 'replace')}"
            )

    def _ask(self, command: bytes) -> bytes:
        self._send(command)
        return self._receive()

    def _send(self, command: bytes) -> None:
        try:
            self._socket.sendall(b"$%s#%02x" % (command, sum(command) % 256))
        except OSError as error:
            raise InfraError(f"lost QEMU's gdb stub: {error.strerror}") from error

    def _receive(self) -> bytes:
        while True:
            begin = self._pending.find(b"$")
            end = self._pending.find(b"#", begin)
            if 0 <= begin < end and len(self._pending) >= end + 3:
                packet = self._pending[begin + 1 : end]
                self._pending = self._pending[end + 3 :]
                self._acknowledge()
                return packet
            try:
                data = self._socket.recv(4096)
            except OSError as error:
                raise InfraError(f"lost QEMU's gdb stub: {error}") from error
            if not data or len(self._pending) > _LONGEST:
                raise InfraError("QEMU closed its gdb stub")
            self._pending += data

    def _acknowledge(self) -> None:
        try:
            self._socket.sendall(b"+")
        except OSError:
            pass  # the next command reports it
