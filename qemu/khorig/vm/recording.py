# SPDX-License-Identifier: BSD-3-Clause
"""A run that QEMU records, to do it again backwards, too (QEMU's docs/system/replay.rst)."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from khorig.vm.errors import InfraError

_SNAPSHOT = "init"
_MAKER = "qemu-img"
_MAKER_S = 60.0


@dataclass(frozen=True)
class Recording:
    """Its files. The machine as it was before its first instruction is in an image of a disk that
    no device has: QEMU goes back by going forward from there."""

    log: Path  # what came from outside of the guest, and when
    snapshots: Path
    replayed: bool = False  # whether QEMU is to replay it

    @property
    def icount(self) -> str:
        """Options of QEMU's -icount."""
        mode = "replay" if self.replayed else "record"
        return f"rr={mode},rrfile={_escaped(self.log)},rrsnapshot={_SNAPSHOT}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """More arguments for QEMU."""
        return ("-drive", f"file={_escaped(self.snapshots)},if=none,id=rr,format=qcow2")


def new_recording(folder: Path) -> Recording:
    """A recording in `folder`, yet to be made. Raises InfraError."""
    recording = Recording(folder / "replay.log", folder / "replay.qcow2")
    # Snapshots of the machine need no room on the disk itself.
    command = [_MAKER, "create", "-q", "-f", "qcow2", str(recording.snapshots), "1M"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_MAKER_S)
    except FileNotFoundError as error:
        raise InfraError(f"{_MAKER} is not installed (apt-get install qemu-utils)") from error
    except subprocess.CalledProcessError as error:
        raise InfraError(f"{_MAKER} failed", tuple(error.stderr.splitlines()[-4:])) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfraError(f"{_MAKER} failed: {error}") from error
    return recording


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")
