# SPDX-License-Identifier: BSD-3-Clause
"""Dumps a live machine through QMP."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO

from khorig.mem.formats import Dump, UnreadableDump, open_dump
from khorig.mem.formats.unpacked import Progress, no_progress
from khorig.vm.errors import InfraError
from khorig.vm.journal import Journal
from khorig.vm.qmp import Qmp

_ANSWER_S = 10.0
_DUMP_S = 600.0
_ONE_CLIENT = "it serves one client at a time"
_NAME = "khorig"  # of the file, in QEMU


def open_memory(path: Path, machine: str | None = None, progress: Progress = no_progress) -> Dump:
    """Opens a file that holds memory (khorig.mem.formats.open_dump), or the memory of the machine
    behind a QMP socket. Raises UnreadableDump; KeyError for a machine that is not known."""
    if not is_monitor(path):
        return open_dump(path, machine, progress)
    with dump_machine(path) as file:
        dump = open_dump(Path(f"/proc/self/fd/{file.fileno()}"), machine)
    return replace(dump, path=path, format="machine that runs")


def is_monitor(path: Path) -> bool:
    """Whether a path is a socket, as QEMU's -qmp unix:PATH,server=on,wait=off makes one."""
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def dump_machine(path: Path) -> IO[bytes]:
    """Has the QEMU behind a QMP socket write its guest's memory as an ELF core into a file without
    a name in the folder for temporary files, which needs as much room as the guest has RAM. The
    guest stands still meanwhile. QEMU is handed the file opened, so it may run as anybody.

    Raises UnreadableDump.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection, Journal(Path(os.devnull)) as journal:
            connection.setblocking(False)  # else it waits as long as others do
            connection.connect(str(path))
            qmp = Qmp(connection, journal, _ANSWER_S)
            try:
                qmp.handshake()
            except InfraError as error:
                why = f"{error.what}; {_ONE_CLIENT}, is there another?"
                raise UnreadableDump(path, why) from error
            file: IO[bytes] = tempfile.TemporaryFile()
            try:
                qmp.give(_NAME, file.fileno())
                qmp.reply_timeout_s = _DUMP_S
                qmp.execute("dump-guest-memory", paging=False, protocol=f"fd:{_NAME}")
            except BaseException:
                file.close()
                raise
            return file
    except InfraError as error:
        raise UnreadableDump(path, error.what) from error
    except BlockingIOError as error:
        why = f"others wait for QEMU on QMP already; {_ONE_CLIENT}"
        raise UnreadableDump(path, why) from error
    except OSError as error:
        raise UnreadableDump(path, f"cannot connect to QEMU: {error.strerror or error}") from error
