# SPDX-License-Identifier: BSD-3-Clause
"""The first member of a bundle: what the others are."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import Any, Mapping

from khorig.mem.untrusted import Untrusted, count, fields, read_object, shown, text, texts
from khorig.run.bundle.errors import BrokenBundle

NAME = "manifest.json"
FORMAT = "khorig-bundle"
VERSION = 1  # of the format; a reader accepts its own only

MANIFEST_BYTES = 1 << 20  # at most
MEMBERS = 256  # at most
UNPACKED_BYTES = 1 << 30  # at most, all members together

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@=-]*(/[A-Za-z0-9_][A-Za-z0-9_.+@=-]*){0,3}")
_LONGEST_NAME = 200
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Member:
    """A file of a bundle."""

    size: int  # bytes
    sha256: str  # in lower case


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds."""

    members: Mapping[str, Member]  # by name, but for the manifest itself
    left_out: tuple[str, ...] = ()  # what the run had and the bundle has not, with the reason
    versions: Mapping[str, Any] = field(default_factory=dict)  # of whoever made it

    def to_json(self) -> bytes:
        """The inverse of `read_manifest`."""
        members = {name: dataclasses.asdict(member) for name, member in self.members.items()}
        document = {
            "format": FORMAT,
            "version": VERSION,
            "versions": dict(self.versions),
            "left_out": list(self.left_out),
            "members": members,
        }
        return (json.dumps(document, indent=1) + "\n").encode()


def read_manifest(data: bytes) -> Manifest:
    """Reads anything. Raises BrokenBundle for another format or version, a name that is not a plain
    relative path, one that lies below another, and sizes beyond the limits."""
    try:
        document = read_object(data, MANIFEST_BYTES)
        if document.get("format") != FORMAT:
            raise Untrusted(f"format {shown(document.get('format'))}, expected '{FORMAT}'")
        if document.get("version") != VERSION:
            what = f"version {shown(document.get('version'))} of the format, expected {VERSION}"
            raise Untrusted(what)
        members = {name: _member(name, value) for name, value in _members(document).items()}
        left_out = texts(document.get("left_out", []))
        versions = fields(document.get("versions", {}))
    except Untrusted as error:
        raise BrokenBundle(f"{NAME}: {error}") from None
    _check(members)
    return Manifest(members, left_out, versions)


def _members(document: Mapping[str, Any]) -> Mapping[str, Any]:
    members = fields(document.get("members"))
    if len(members) > MEMBERS:
        raise Untrusted(f"{len(members)} members, more than {MEMBERS}")
    return members


def _member(name: str, value: Any) -> Member:
    try:
        record = fields(value)
        size, digest = count(record.get("size")), text(record.get("sha256"))
    except Untrusted as error:
        raise Untrusted(f"member {shown(name)}: {error}") from None
    if _DIGEST.fullmatch(digest) is None:
        raise Untrusted(f"member {shown(name)}: sha256 is {shown(digest)}")
    return Member(size, digest)


def _check(members: Mapping[str, Member]) -> None:
    for name in members:
        if _NAME.fullmatch(name) is None or len(name) > _LONGEST_NAME or name == NAME:
            raise BrokenBundle(f"{NAME}: {shown(name)} is no name of a member")
        parts = name.split("/")
        for length in range(1, len(parts)):
            if (parent := "/".join(parts[:length])) in members:
                raise BrokenBundle(f"{NAME}: {shown(name)} lies below the file {shown(parent)}")
    total = sum(member.size for member in members.values())
    if total > UNPACKED_BYTES:
        raise BrokenBundle(f"{NAME}: {total} bytes of members, more than {UNPACKED_BYTES}")
