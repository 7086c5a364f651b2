# SPDX-License-Identifier: BSD-3-Clause
"""tmpfs-mnt-v1 and tmpfs-file-v1: a mount, and the files in its root, each a file of a session.

Layout: struct tmpfs_luo_mnt_ser and tmpfs_luo_file_ser in include/linux/kho/abi/tmpfs.h of
prati0100/linux@6c65235929ed (the mount alone: @06f5f82a95a3), an RFC. No flags are defined there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.folio_array import FolioArray
from khorig.kho.clients.formats.tmpfs_file import TmpfsFile
from khorig.kho.clients.luo_decoder import LuoDecoder, LuoState
from khorig.kho.version import Version
from khorig.mem.errors import DecodeError, Problems
from khorig.mem.memory import PhysRange, read_bytes

MOUNT_NAME = "tmpfs-mnt-v1"
FILE_NAME = "tmpfs-file-v1"
SUBJECT = "tmpfs"
_MOUNT = struct.Struct("<QII")  # max_blocks, mode, flags
_FILE = struct.Struct("<QQQIIQ16s256s")  # token, pos, size, mode, flags, nr_folios, vmalloc, name
_MOST_MODE = 0xFFFF  # umode_t


@dataclass(frozen=True)
class TmpfsMount:
    """A mount."""

    max_blocks: int
    mode: int

    def __str__(self) -> str:
        limit = f"at most {self.max_blocks} pages" if self.max_blocks else "no limit"
        return f"mount of tmpfs, {limit}, mode {self.mode:#o}"


def _common(problems: Problems, at: int, mode: int, flags: int) -> None:
    if mode > _MOST_MODE:
        problems.add("tmpfs-mode", at, f"mode {mode:#o}, expected at most {_MOST_MODE:#o}")
    if flags:
        problems.add("tmpfs-flags", at, f"flags {flags:#x}, expected 0")


def _mount(state: LuoState) -> DecodedClient:
    at, problems = state.data, Problems()
    most, mode, flags = _MOUNT.unpack(read_bytes(state.memory, at, _MOUNT.size))
    _common(problems, at, mode, flags)
    own = [(state.owner, PhysRange(at, _MOUNT.size))]
    return DecodedClient(TmpfsMount(most, mode), own, problems.items)


def _name_of(raw: bytes, at: int) -> str:
    name, end, rest = raw.partition(b"\0")
    if not end or any(rest):
        raise DecodeError("tmpfs-name", at, f"name {raw[:16]!r}... does not end in zeros")
    if not name or b"/" in name or name in (b".", b".."):
        raise DecodeError("tmpfs-name", at, f"{name[:16]!r} is no name of a file")
    return name.decode("utf-8", "backslashreplace")


def _file(state: LuoState) -> DecodedClient:
    at, what, problems = state.data, state.owner, Problems()
    fields = _FILE.unpack(read_bytes(state.memory, at, _FILE.size))
    token, position, size, mode, flags, count, raw, raw_name = fields
    _common(problems, at, mode, flags)
    if Version.of(state.kinds.get(token, "")).base != MOUNT_NAME:
        text = f"no mount {token:#x} in the session, expected a {MOUNT_NAME}"
        problems.add("tmpfs-mount", at, text)
    own = [(what, PhysRange(at, _FILE.size))]
    try:
        name = _name_of(raw_name, at)
        array: FolioArray = state.lists.folio_array(raw, count, size, at, what, SUBJECT)
    except DecodeError as error:
        problems.keep(error.problem)
        return DecodedClient(None, own, problems.items)
    return array.decoded(TmpfsFile(name, token, position, size, array), what, own, problems.items)


FORMATS = (LuoDecoder(MOUNT_NAME, _mount, SUBJECT), LuoDecoder(FILE_NAME, _file, SUBJECT))
