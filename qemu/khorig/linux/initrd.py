# SPDX-License-Identifier: BSD-3-Clause
"""Reads an initramfs: which files a Linux finds in it."""

from __future__ import annotations

import stat
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping

from khorig.linux.packing import is_packed, unpack
from khorig.mem.errors import Error

_LARGEST = 1 << 31  # bytes
_HEADER = 110  # bytes of an entry before its name (Linux: Documentation/driver-api/early-userspace)
_MODE, _SIZE, _NAME_SIZE = 1, 6, 11  # fields of eight digits each, behind the magic
_MAGICS = (b"070701", b"070702")
_LAST = b"TRAILER!!!"
_MOST_LINKS = 40  # that Linux follows for one path


class NoInitrd(Error, ValueError):
    """Linux cannot unpack it; the message says why."""


@dataclass(frozen=True)
class Initrd:
    """The files of an archive, by their names without a leading slash."""

    links: Mapping[str, str | None]  # target of a symbolic link, None for anything else
    is_complete: bool  # whether all of it could be unpacked here

    def has(self, path: str) -> bool:
        """Whether an absolute path leads to something, through symbolic links, too."""
        left, at = deque(_parts(path)), ""
        followed = 0
        while left:
            part = left.popleft()
            if part == "..":
                at = at.rpartition("/")[0]
                continue
            name = f"{at}/{part}" if at else part
            if name not in self.links:
                return False
            target = self.links[name]
            if target is None:
                at = name
                continue
            followed += 1
            if followed > _MOST_LINKS:
                return False
            left.extendleft(reversed(_parts(target)))
            at = "" if target.startswith("/") else at
        return bool(at)


def why_no_initrd(path: Path) -> str | None:
    """Why Linux cannot unpack this file, or None if it is a cpio archive, compressed or not."""
    try:
        read_initrd(path)
    except NoInitrd as error:
        return str(error)
    return None


def read_initrd(path: Path) -> Initrd:
    """Reads all of it: archives one after the other, each compressed or not. Raises NoInitrd."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise NoInitrd("not a regular file")
        if path.stat().st_size > _LARGEST:
            raise NoInitrd(f"more than {_LARGEST} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise NoInitrd(str(error.strerror)) from None
    if not data:
        raise NoInitrd("empty file")
    links: dict[str, str | None] = {}
    is_complete = _read(data, links)
    if is_complete and not links:
        raise NoInitrd("empty cpio archive")
    return Initrd(links, is_complete)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _read(data: bytes, links: dict[str, str | None], is_unpacked: bool = False) -> bool:
    """Returns whether all of it could be unpacked. Linux unpacks once: what was packed has plain
    archives only (flush_buffer() in init/initramfs.c)."""
    at, is_first = 0, True
    while is_first or at < len(data):
        head = data[at : at + _HEADER]
        if is_packed(head) and not is_unpacked:
            try:
                unpacked = unpack(data[at:])
            except ValueError as error:
                raise NoInitrd(str(error)) from None
            if unpacked is None:
                return False
            try:
                if not _read(unpacked.content, links, is_unpacked=True):
                    return False
            except NoInitrd as error:
                raise NoInitrd(f"decompressed content: {error}") from None
            data, at = unpacked.rest, 0
        elif head.startswith(_MAGICS):
            at = _read_archive(data, at, links)
        else:
            where = "" if is_first else f" at byte {at:#x}"
            raise NoInitrd(f"not a cpio archive (newc){where}")
        is_first = False
        at = len(data) - len(data[at:].lstrip(b"\0"))
    return True


def _read_archive(data: bytes, at: int, links: dict[str, str | None]) -> int:
    """Returns where it ends."""
    while True:
        fields = data[at + 6 : at + _HEADER]
        try:
            if not fields.isalnum():  # int() takes signs, blanks and underscores
                raise ValueError
            mode, size, name_size = (
                int(fields[8 * field : 8 * field + 8], 16) for field in (_MODE, _SIZE, _NAME_SIZE)
            )
        except ValueError:
            raise NoInitrd(f"damaged cpio archive at byte {at:#x}") from None
        name = data[at + _HEADER : at + _HEADER + name_size]
        content = at + _padded(_HEADER + name_size)
        is_whole = name_size >= 2 and name[-1:] == b"\0" and len(name) == name_size
        if not data.startswith(_MAGICS, at) or not is_whole or content + size > len(data):
            raise NoInitrd(f"damaged cpio archive at byte {at:#x}")
        if name[:-1] == _LAST:
            return content + size
        text = "/".join(_parts(name[:-1].decode("utf-8", "surrogateescape")))
        target = data[content : content + size] if stat.S_ISLNK(mode) else None
        if text:
            links[text] = None if target is None else target.decode("utf-8", "surrogateescape")
        at = content + _padded(size)


def _padded(size: int) -> int:
    return (size + 3) & ~3
