# SPDX-License-Identifier: BSD-3-Clause
"""Host side of khorig: runs kernels under QEMU, decides whether a handover lost anything, and reads
handovers in dumps.

    import khorig

    with khorig.open_dump("vmcore") as dump:
        print(dump.handover, dump.owner(0x8465000), dump.check())

docs/library.md is the tour. The names below are all that is promised to stay; each is imported
when it is used, so that `khorig --help` does not wait for numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from khorig.api.open_dump import OpenDump, open_dump
    from khorig.api.rig import Rig
    from khorig.api.rig_result import NotPassed, RigResult
    from khorig.kho.snapshot import NoHandover
    from khorig.mem.elf_writer import CannotExport
    from khorig.mem.errors import DecodeError, Error
    from khorig.mem.formats.errors import UnreadableDump
    from khorig.rules.difference import CannotCompare
    from khorig.rules.finding import Finding, Verdict
    from khorig.vm.errors import InfraError

__version__ = "0.1.0"

__all__ = [
    "CannotCompare",
    "CannotExport",
    "DecodeError",
    "Error",
    "Finding",
    "InfraError",
    "NoHandover",
    "NotPassed",
    "OpenDump",
    "Rig",
    "RigResult",
    "UnreadableDump",
    "Verdict",
    "__version__",
    "open_dump",
]

_HOMES = {
    "CannotCompare": "rules.difference",
    "CannotExport": "mem.elf_writer",
    "DecodeError": "mem.errors",
    "Error": "mem.errors",
    "Finding": "rules.finding",
    "InfraError": "vm.errors",
    "NoHandover": "kho.snapshot",
    "NotPassed": "api.rig_result",
    "OpenDump": "api.open_dump",
    "Rig": "api.rig",
    "RigResult": "api.rig_result",
    "UnreadableDump": "mem.formats.errors",
    "Verdict": "rules.finding",
    "open_dump": "api.open_dump",
}


if not TYPE_CHECKING:  # there a name that does not exist is an error

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'khorig' has no attribute {name!r}")
        return getattr(importlib.import_module(f"khorig.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
