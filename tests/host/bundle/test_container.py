# SPDX-License-Identifier: BSD-3-Clause
"""A bundle is anybody's file: whatever is wrong with it has a name, and nothing is written outside
of the folder that it is unpacked to."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any, Callable

import pytest
import zstandard

from khorig.run.bundle.container import member_of, unpack_container, write_container
from khorig.run.bundle.errors import BrokenBundle
from khorig.run.bundle.manifest import FORMAT, MEMBERS, NAME, VERSION, Manifest, read_manifest

_CONTENTS: dict[str, bytes | Path] = {"run.json": b"{}", "files/kernel": b"\x7fELF" * 1000}

Entries = list[tuple[tarfile.TarInfo, bytes]]


def _entry(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry, data


def _document(**changes: Any) -> dict[str, Any]:
    members = {}
    for name, data in _CONTENTS.items():
        assert isinstance(data, bytes)
        members[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {"format": FORMAT, "version": VERSION, "members": members, **changes}


def _entries(document: Any = None) -> Entries:
    manifest = json.dumps(_document() if document is None else document).encode()
    entries = [_entry(NAME, manifest)]
    for name, data in _CONTENTS.items():
        assert isinstance(data, bytes)
        entries.append(_entry(name, data))
    return entries


def _tar(entries: Entries) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry, data in entries:
            archive.addfile(entry, io.BytesIO(data))
    return sink.getvalue()


def _packed(data: bytes) -> bytes:
    return zstandard.compress(data)


def _file(entries: Entries) -> bytes:
    return _packed(_tar(entries))


def _with_member(name: str, size: int = 0) -> dict[str, Any]:
    document = _document()
    document["members"][name] = {"size": size, "sha256": hashlib.sha256(b"").hexdigest()}
    return document


def _instead(**fields: Any) -> Entries:
    """The kernel is something else than a plain file."""
    document = _with_member("files/kernel")
    return [*_entries(document)[:2], _entry("files/kernel", **fields)]


def _bomb() -> bytes:
    entries = _entries()
    entries[2] = _entry("files/kernel", bytes(64 << 20))
    return _file(entries)


def _header_bomb() -> bytes:
    """A header of PAX that says to be 1 TiB long."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    return _packed(header.tobuf(tarfile.GNU_FORMAT) + bytes(64 << 20))


_TWICE = b'{"format": "khorig-bundle", "format": "khorig-bundle"}'

DAMAGES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "no bundle, or cut off"),
    "no zstd": (lambda: b"PK\x03\x04" * 100, "no bundle, or cut off"),
    "no tar": (lambda: _packed(b"x" * 5000), "no bundle, or cut off"),
    "cut off": (lambda: _file(_entries())[:-40], "no bundle, or cut off"),
    "cut off in a member": (lambda: _packed(_tar(_entries())[:2600]), "cut off"),
    "no manifest": (lambda: _file(_entries()[1:]), "the first member is 'run.json', expected"),
    "manifest is a link": (
        lambda: _file([_entry(NAME, type=tarfile.SYMTYPE, linkname="/etc/passwd")]),
        "the first member is",
    ),
    "manifest is not JSON": (lambda: _file([_entry(NAME, b"{")]), "manifest.json: not JSON"),
    "manifest names twice": (lambda: _file([_entry(NAME, _TWICE)]), "an object with two 'format'"),
    "manifest is huge": (lambda: _file([_entry(NAME, bytes(2 << 20))]), "more than 1048576"),
    "another format": (lambda: _file(_entries(_document(format="zip"))), "format 'zip', expected"),
    "a later version": (
        lambda: _file(_entries(_document(version=VERSION + 1))),
        "version 2 of the format, expected 1",
    ),
    "no version": (lambda: _file(_entries({"format": FORMAT})), "version None of the format"),
    "members is a list": (lambda: _file(_entries(_document(members=[]))), "expected an object"),
    "no members": (lambda: _file(_entries(_document(members={}))[:1]), "no members"),
    "negative size": (lambda: _file(_entries(_with_member("x", -1))), "-1, expected a count"),
    "huge size": (lambda: _file(_entries(_with_member("x", 1 << 62))), "bytes of members, more"),
    "absolute path": (lambda: _file(_entries(_with_member("/x"))), "'/x' is no name of a member"),
    "path upwards": (lambda: _file(_entries(_with_member("../x"))), "'../x' is no name"),
    "path upwards inside": (lambda: _file(_entries(_with_member("a/../../x"))), "is no name"),
    "NUL in a path": (lambda: _file(_entries(_with_member("a\0b"))), "is no name"),
    "newline in a path": (lambda: _file(_entries(_with_member("a\n"))), "is no name"),
    "hidden file": (lambda: _file(_entries(_with_member(".x"))), "is no name"),
    "below a file": (lambda: _file(_entries(_with_member("run.json/x"))), "below the file"),
    "missing": (lambda: _file(_entries()[:-1]), "member 'files/kernel' is missing"),
    "not named": (
        lambda: _file([*_entries(), _entry("more", b"x")]),
        "member 'more' is not in the manifest",
    ),
    "path upwards, not named": (
        lambda: _file([*_entries(), _entry("../more", b"x")]),
        "member '../more' is not in the manifest",
    ),
    "twice": (lambda: _file([*_entries(), _entries()[1]]), "member 'run.json' is there twice"),
    "symbolic link": (
        lambda: _file(_instead(type=tarfile.SYMTYPE, linkname="/etc/passwd")),
        "is no plain file",
    ),
    "hard link": (
        lambda: _file(_instead(type=tarfile.LNKTYPE, linkname="run.json")),
        "is no plain file",
    ),
    "device": (lambda: _file(_instead(type=tarfile.CHRTYPE)), "is no plain file"),
    "FIFO": (lambda: _file(_instead(type=tarfile.FIFOTYPE)), "is no plain file"),
    "folder": (lambda: _file(_instead(type=tarfile.DIRTYPE)), "is no plain file"),
    "sparse by PAX": (
        lambda: _file(_instead(pax_headers={"GNU.sparse.size": "0", "GNU.sparse.map": ""})),
        "no bundle, or cut off: invalid literal",
    ),
    "another size": (
        lambda: _file([*_entries()[:2], _entry("files/kernel", b"x")]),
        "member 'files/kernel': 1 bytes, expected 4000",
    ),
    "another digest": (
        lambda: _file([*_entries()[:2], _entry("files/kernel", b"x" * 4000)]),
        "member 'files/kernel': its SHA-256 is another",
    ),
    "bad digest": (
        lambda: _file(_entries(_document(members={"x": {"size": 0, "sha256": "../x"}}))),
        "sha256 is '../x'",
    ),
    "bomb": (_bomb, "67108864 bytes, expected 4000"),
    "bomb of zeros": (lambda: _packed(_tar(_entries()) + bytes(64 << 20)), "unpacks to more than"),
    "bomb in a header": (_header_bomb, "unpacks to more than"),
    "data behind": (lambda: _packed(_tar(_entries()) + b"x"), "data behind the last member"),
    "too many members": (
        lambda: _file(_entries(_document(members={str(n): {} for n in range(MEMBERS + 1)}))),
        "257 members, more than 256",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_has_a_named_error(tmp_path: Path, damage: str) -> None:
    make, why = DAMAGES[damage]
    path = tmp_path / "x.khorig"
    path.write_bytes(make())
    folder = tmp_path / "below" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(BrokenBundle) as error:
        unpack_container(path, folder)
    assert why in str(error.value)
    written = {found for found in tmp_path.rglob("*") if not found.is_dir()}
    assert all(found == path or folder in found.parents for found in written)
    assert all(found.is_file() and not found.is_symlink() for found in written)
    assert sum(found.stat().st_size for found in folder.rglob("*")) < 1 << 20


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    whole = _file(_entries())
    for size in range(0, len(whole), 7):
        path, folder = tmp_path / "x.khorig", tmp_path / str(size)
        path.write_bytes(whole[:size])
        folder.mkdir()
        with pytest.raises(BrokenBundle):
            unpack_container(path, folder)


def test_every_flipped_byte_of_the_archive_is_noticed_or_harmless(tmp_path: Path) -> None:
    """Bytes that no member has may be anything: padding, dates and owners of the archive."""
    archive = _tar(_entries())
    for at in range(0, 5000, 13):
        damaged = bytearray(archive)
        damaged[at] ^= 0x41
        path, folder = tmp_path / "x.khorig", tmp_path / str(at)
        path.write_bytes(_packed(bytes(damaged)))
        folder.mkdir()
        try:
            unpack_container(path, folder)
        except BrokenBundle:
            continue
        assert (folder / "files/kernel").read_bytes() == _CONTENTS["files/kernel"]
        assert (folder / "run.json").read_bytes() == _CONTENTS["run.json"]


def test_a_fifo_is_no_bundle(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BrokenBundle, match="not a regular file"):
        unpack_container(tmp_path / "fifo", tmp_path / "folder")


def test_what_is_packed_comes_out(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(3 << 20))
    contents: dict[str, bytes | Path] = {**_CONTENTS, "a/b/c": large, "none": b""}
    members = {name: member_of(content) for name, content in contents.items()}
    manifest = Manifest(members, ("vmlinux: large",), {"khorig": "1"})
    write_container(tmp_path / "x", manifest, contents)
    write_container(tmp_path / "y", manifest, contents)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    (tmp_path / "out").mkdir()
    assert unpack_container(tmp_path / "x", tmp_path / "out") == manifest
    assert read_manifest(manifest.to_json()) == manifest
    for name, content in contents.items():
        expected = content if isinstance(content, bytes) else content.read_bytes()
        assert (tmp_path / "out" / name).read_bytes() == expected
