# SPDX-License-Identifier: BSD-3-Clause
"""The QEMU process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Sequence

from khorig.vm.errors import InfraError

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_FREEZES_S = 20.0
_STDERR_TAIL = 4096  # bytes; with `-d int` QEMU writes gigabytes
# Runs a command that is killed when the process of this number ends, and not at all when that ended
# before setpriv (util-linux) asked for the signal. A preexec_fn could do both, but may deadlock in
# a process with threads.
_DIES_WITH = ("setpriv", "--pdeathsig=KILL", "sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')


@dataclass(frozen=True)
class Thread:
    """State of a thread (proc(5))."""

    cpu_s: float  # CPU time
    sleeps: bool  # sleeping, not waiting for a CPU
    turns: int = 0  # how often it was given a CPU: a thread that is woken gets one


class QemuProcess:
    """A QEMU of our own: in its own process group, so that Ctrl-C reaches only us, and killed by
    the system when the thread that started it ends, however that happens.

    A context manager: the process is gone afterwards.
    """

    def __init__(self, argv: Sequence[str], stderr: Path, descriptors: Sequence[int]) -> None:
        """Starts `argv`, which inherits `descriptors`; what it says to stderr goes to that file.
        Raises InfraError when there is no such program."""
        if shutil.which(argv[0]) is None:
            raise InfraError(f"{argv[0]} is not installed, or not in $PATH")
        self._stderr = stderr
        self.started_s = time.monotonic()
        with stderr.open("wb") as sink:
            try:
                self._process = subprocess.Popen(
                    [*_DIES_WITH, str(os.getpid()), *argv],
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=sink,
                    pass_fds=descriptors,
                    process_group=0,
                )
            except OSError as error:
                raise InfraError(f"cannot start setpriv: {error.strerror}") from error
        self._pidfd = os.pidfd_open(self._process.pid)

    def __enter__(self) -> QemuProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        os.close(self._pidfd)

    @property
    def pid(self) -> int:
        """Process id of QEMU."""
        return self._process.pid

    def fileno(self) -> int:
        """File descriptor, readable once the process has exited."""
        return self._pidfd

    def status(self) -> int | None:
        """Exit status, or minus the signal that killed it; None while running."""
        return self._process.poll()

    def kill(self) -> None:
        """Kills the process if it is running, and waits for its exit."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stops all threads of QEMU, which answers nobody until `thaw`; nothing if it has exited.
        A guest whose clock counts instructions does not notice. Raises InfraError if a thread goes
        on."""
        deadline = time.monotonic() + _FREEZES_S
        self._signal(signal.SIGSTOP)
        while not set(self._states()) <= {"T", "t", "Z", "X"}:
            if time.monotonic() > deadline:
                raise InfraError(f"QEMU went on for {_FREEZES_S:g} s after SIGSTOP")
            time.sleep(0.0005)

    def thaw(self) -> None:
        """After `freeze`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def _states(self) -> Iterator[str]:
        for path in Path(f"/proc/{self.pid}/task").glob("*/stat"):
            with contextlib.suppress(OSError):
                yield path.read_text().rpartition(")")[2].split()[0]

    def stderr_lines(self) -> tuple[str, ...]:
        """The last lines of QEMU's stderr."""
        with self._stderr.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _STDERR_TAIL))
            text = file.read(_STDERR_TAIL).decode("utf-8", "replace")
        return tuple(line for line in text.splitlines() if line.strip())[-8:]

    def threads(self) -> dict[int, Thread]:
        """QEMU's threads by id; empty after its exit."""
        threads = {}
        for folder in Path(f"/proc/{self.pid}/task").glob("*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                turns = int((folder / "schedstat").read_text().split()[2])
            except (OSError, LookupError, ValueError):  # it just exited
                continue
            ticks = int(fields[11]) + int(fields[12])
            threads[int(folder.name)] = Thread(ticks / _TICKS_PER_S, fields[0] == "S", turns)
        return threads
