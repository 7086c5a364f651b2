# SPDX-License-Identifier: BSD-3-Clause
"""Which pages must not change from one stop to a later one; shared by runs and `diff`."""

from __future__ import annotations

import enum
import re
from typing import Callable, Mapping

import numpy as np

from khorig.kho.blocks import Int64Array
from khorig.kho.clients.formats.pstore import PSTORE_NAME
from khorig.kho.clients.linux import MEMFD_COMPATIBLE
from khorig.kho.clients.live_cpu import LIVE_CPU_OWNER
from khorig.kho.owners import expand
from khorig.kho.ownership import FRAGMENT_OWNER, LIVE_OWNERS, RESERVED_OWNER
from khorig.kho.snapshot import Snapshot
from khorig.kho.version import Version


class Span(enum.Enum):
    """The interval between two stops."""

    JUMP = "from sealed to the next kernel's first instruction, and until all is restored"
    LINUX_JUMP = "from the last user space event of a Linux to the next kernel's first instruction"
    LINUX_BOOT = "from sealed until user space of the next kernel, a Linux, runs"
    LINUX_RUN = "in a Linux, from the first to the last user space event"
    GENERATION = "from one sealed handover to the next"


# Linux serializes its sessions on the way down: their blocks and the file descriptions; pstore the
# log, up to the jump.
_SERIALIZED_LATE = re.compile(
    rf"LUO( sessions| shared state|/[^/]+ files|/[^/]+/0x[0-9a-f]+)?|{PSTORE_NAME}"
)
# Freed by Linux's test module and LUO after the restore.
_GIVEN_BACK = re.compile(r"kho_test (folio|array|chunk)|LUO.*")
_HELD = re.compile(r"LUO/.* folio")  # by the rig's user space, until the next jump
# Written once, then only handed on.
_CONSTANT = re.compile(
    r"khorig/archive|khorig/stores/(blocks|generation-.*)( chunk)?|block|"
    rf"{LIVE_CPU_OWNER}/(text|mailbox|table .*)|{RESERVED_OWNER}.*"
)

# Written once by a Linux and the rig's user space, before the first stop.
_WRITTEN_ONCE = re.compile(
    rf"memblock|kho_test.*|kexec-metadata|{FRAGMENT_OWNER}|{RESERVED_OWNER}.*"
)

_STAYS: Mapping[Span, Callable[[str], bool]] = {
    Span.JUMP: lambda owner: owner not in LIVE_OWNERS,
    Span.LINUX_JUMP: lambda owner: _SERIALIZED_LATE.fullmatch(owner) is None,
    Span.LINUX_BOOT: lambda owner: bool(
        _GIVEN_BACK.fullmatch(owner) is None or _HELD.fullmatch(owner)
    ),
    Span.LINUX_RUN: lambda owner: _WRITTEN_ONCE.fullmatch(owner) is not None,
    Span.GENERATION: lambda owner: _CONSTANT.fullmatch(owner) is not None,
}


def pages_that_stay(snapshot: Snapshot, span: Span, is_complete: bool = True) -> Int64Array:
    """Frames of the preserved pages that must not change in a span, ascending. Unless the snapshot
    `is_complete`, pages may be unowned because their owner is serialized later."""
    frames = snapshot.owners.pages_where(_STAYS[span])
    if span in (Span.GENERATION, Span.LINUX_RUN):
        return frames
    if span is not Span.JUMP and not (is_complete and _knows_all_files(snapshot)):
        return frames
    return _with_unowned(snapshot, frames)


def _with_unowned(snapshot: Snapshot, frames: Int64Array) -> Int64Array:
    begins, ends = snapshot.owners.unowned
    if not len(begins):
        return frames
    merged: Int64Array = np.union1d(frames, expand(begins, ends))
    return merged


def _knows_all_files(snapshot: Snapshot) -> bool:
    """Whether all session files are of a decoded type: pages of other files are unowned, and may be
    serialized late or freed."""
    luo = snapshot.linux.luo
    if luo is None:
        return True
    bases = (Version.of(f.compatible).base for s in luo.sessions for f in s.files)
    return all(base == MEMFD_COMPATIBLE for base in bases)
