# SPDX-License-Identifier: BSD-3-Clause
"""Damage to what a Linux's Live Update Orchestrator hands over, through a khorig."""

from __future__ import annotations

import struct
from typing import Callable

from khorig.kho.clients.linux import (
    LUO_PATH,
    Luo,
    LuoSession,
    Memfd,
    decode_linux_clients,
)
from khorig.mem.memory import RamMemory
from khorig.run.damage.damage import Damage
from khorig.run.tamper.target import CannotTamper, Target

_CHAIN_HEAD = 16  # bytes: next, count
_SESSION_COUNT_AT = 64 + 8  # behind the name and the first block of files
_FILE_DATA_AT = 48
_FOLIOS_AT = 24  # in the description of a memfd: how many folios
_FOLIO_BYTES = 16


def _luo(target: Target) -> tuple[int, Luo]:
    link = target.handover.blob(LUO_PATH)
    found = decode_linux_clients(RamMemory(target.ram), target.handover).luo
    if link is None or found is None or not found.sessions:
        raise CannotTamper("no session of LUO")
    return link.blob.begin, found


def _session(target: Target) -> tuple[int, LuoSession]:
    """The address of the entry of the first session, and the session."""
    _, luo = _luo(target)
    return luo.chain.pages[0] + _CHAIN_HEAD, luo.sessions[0]


def _memfd(target: Target) -> Memfd:
    for file in _session(target)[1].files:
        if file.memfd is not None and len(file.memfd.folios) > 1:
            return file.memfd
    raise CannotTamper("no memfd with two folios")


def _version(target: Target) -> str:
    blob, _ = _luo(target)
    target.ram.write(blob, b"luo-v1\0\0")
    return f"version of LUO at {blob:#018x} set to luo-v1"


def _more_files(target: Target) -> str:
    entry, session = _session(target)
    target.write_u64(entry + _SESSION_COUNT_AT, session.count + 1)
    return f"session '{session.name}' claims {session.count + 1} files, and has {session.count}"


def _cyclic_sessions(target: Target) -> str:
    page = _luo(target)[1].chain.pages[0]
    target.write_u64(page, page)
    return f"block {page:#018x} of sessions is its own next"


def _counted(count: int) -> Callable[[Target], str]:
    def apply(target: Target) -> str:
        page = _session(target)[1].chain.pages[0]
        target.write_u64(page + 8, count)
        return f"block {page:#018x} of files claims {count} entries"

    return apply


def _memfd_version(target: Target) -> str:
    page = _session(target)[1].chain.pages[0]
    target.ram.write(page + _CHAIN_HEAD, b"memfd-v1\0")
    return f"file at {page + _CHAIN_HEAD:#018x} is a memfd-v1"


def _no_data(target: Target) -> str:
    page = _session(target)[1].chain.pages[0]
    target.write_u64(page + _CHAIN_HEAD + _FILE_DATA_AT, 0)
    return f"file at {page + _CHAIN_HEAD:#018x} has no data"


def _name_without_end(target: Target) -> str:
    entry, session = _session(target)
    target.ram.write(entry, b"x" * 64)
    return f"name of session '{session.name}' without its NUL"


def _array(memfd: Memfd, target: Target) -> int:
    return int(memfd.vmalloc.blocks.frames[0]) << target.geometry.page_shift


def _folio_twice(target: Target) -> str:
    memfd = _memfd(target)
    array = _array(memfd, target)
    target.write_u64(array + _FOLIO_BYTES, target.ram.read_u64(array))
    return f"folio 1 of the memfd at {memfd.at:#018x} is folio 0"


def _hole(target: Target) -> str:
    memfd = _memfd(target)
    target.ram.write(_array(memfd, target) + _FOLIO_BYTES, struct.pack("<QQ", 0, 1))
    return f"folio 1 of the memfd at {memfd.at:#018x} is a hole: frame number 0"


def _fewer_folios(target: Target) -> str:
    memfd = _memfd(target)
    target.write_u64(memfd.at + _FOLIOS_AT, len(memfd.folios) & 0xFF)
    return f"{len(memfd.folios)} folios of a memfd counted in 8 bits"


def _between(name: str, what: str, apply: Callable[[Target], str]) -> Damage:
    return Damage(name, what, apply, "sealed", 2)


LUO_DAMAGES = (
    _between("luo-version", "LUO has another version", _version),
    _between("luo-more-files", "a session claims a file more than it has", _more_files),
    _between("luo-cyclic-sessions", "a block of sessions is its own next", _cyclic_sessions),
    _between("luo-no-entries", "a block of files is empty", _counted(0)),
    _between("luo-many-entries", "a block of files claims more than fit", _counted(1 << 20)),
    _between("luo-memfd-version", "a file is of a former version", _memfd_version),
    _between("luo-no-data", "a file has no data", _no_data),
    _between("luo-name-without-end", "the name of a session has no NUL", _name_without_end),
    _between("luo-folio-twice", "a memfd has a folio twice", _folio_twice),
    _between("luo-hole", "a memfd has a hole in its array of folios", _hole),
    _between("luo-fewer-folios", "the count of a memfd's folios has 8 bits", _fewer_folios),
)
