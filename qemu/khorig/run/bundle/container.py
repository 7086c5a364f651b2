# SPDX-License-Identifier: BSD-3-Clause
"""The file of a bundle: a tar archive of plain files in one zstd frame, the manifest first.

Nothing in it is believed: sizes are known from the manifest before anything is unpacked, and no
member names a place outside of the folder that it is unpacked to.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path
from typing import IO, Iterator, Mapping, cast

import zstandard

from khorig.mem.untrusted import shown
from khorig.run.bundle.errors import BrokenBundle
from khorig.run.bundle.manifest import (
    MANIFEST_BYTES,
    NAME,
    Manifest,
    Member,
    read_manifest,
)
from khorig.vm.partial_file import partial_file

PACKED_BYTES = 512 << 20  # of a bundle, at most

_LEVEL = 19
_WINDOW = 27  # log2 of bytes that a frame may refer back to
_CHUNK = 1 << 20
_OVERHEAD = 1 << 20  # bytes of the tar archive besides contents
_MODE = 0o644
_READ_ERRORS = (tarfile.TarError, zstandard.ZstdError, ValueError, OverflowError, EOFError)


def write_container(path: Path, manifest: Manifest, contents: Mapping[str, bytes | Path]) -> None:
    """Writes a bundle, the same bytes for the same members. `contents` has what the manifest names,
    as bytes or as a file. Raises OSError."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL, window_log=_WINDOW, write_checksum=True
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    with partial_file(path) as partial, partial.open("wb") as sink:
        with compressor.stream_writer(sink, closefd=False) as packed:
            with tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
                _add(archive, NAME, manifest.to_json())
                for name in manifest.members:
                    _add(archive, name, contents[name])


def member_of(content: bytes | Path) -> Member:
    """Raises OSError."""
    if isinstance(content, bytes):
        return Member(len(content), hashlib.sha256(content).hexdigest())
    with content.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Member(file.tell(), digest)


def unpack_container(path: Path, folder: Path) -> Manifest:
    """Unpacks a bundle into the empty `folder`, as plain files. Raises BrokenBundle for whatever is
    wrong with the file, OSError when the folder takes no more."""
    with contextlib.closing(_open(path)) as file:
        source = _Unpacked(file)
        seen: set[str] = set()
        manifest = Manifest({})
        try:
            with tarfile.open(fileobj=cast(IO[bytes], source), mode="r|") as archive:
                for number, entry in enumerate(archive):
                    if number == 0:
                        manifest = read_manifest(_read_manifest(archive, entry))
                        source.limit = _OVERHEAD + MANIFEST_BYTES
                        source.limit += sum(m.size for m in manifest.members.values())
                    else:
                        _unpack(archive, entry, manifest, seen, folder)
            source.finish()
        except _READ_ERRORS as error:
            raise BrokenBundle(f"no bundle, or cut off: {error}") from None
    if missing := sorted(set(manifest.members) - seen):
        raise BrokenBundle(f"member {shown(missing[0])} is missing")
    if not manifest.members:
        raise BrokenBundle("no members")
    return manifest


class _Unpacked:
    """The bytes of the zstd frame, up to a limit: what is packed may be any number of times as
    large."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << _WINDOW)
        self._stream = decompressor.stream_reader(file, read_across_frames=False, closefd=False)
        self._count = 0
        self.limit = _OVERHEAD + MANIFEST_BYTES

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, which must not be negative. Raises BrokenBundle at the limit."""
        data: bytes = self._stream.read(min(size, _CHUNK))
        self._count += len(data)
        if self._count > self.limit:
            raise BrokenBundle(f"unpacks to more than the {self.limit} bytes that it may have")
        return data

    def finish(self) -> None:
        """Raises BrokenBundle for anything but zeros behind the archive."""
        while data := self.read(_CHUNK):
            if any(data):
                raise BrokenBundle("data behind the last member")


def _add(archive: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    with contextlib.ExitStack() as stack:
        stream: IO[bytes]
        if isinstance(content, bytes):
            stream, size = io.BytesIO(content), len(content)
        else:
            stream = stack.enter_context(content.open("rb"))
            size = os.fstat(stream.fileno()).st_size
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, _MODE
        archive.addfile(entry, stream)


def _open(path: Path) -> IO[bytes]:
    # Without blocking: a FIFO would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    why = None
    if not stat.S_ISREG(status.st_mode):
        why = "not a regular file"
    elif status.st_size > PACKED_BYTES:
        why = f"{status.st_size} bytes, more than {PACKED_BYTES}"
    if why is not None:
        os.close(descriptor)
        raise BrokenBundle(why)
    return os.fdopen(descriptor, "rb")


def _read_manifest(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    if entry.name != NAME or not _is_plain(entry):
        raise BrokenBundle(f"the first member is {shown(entry.name)}, expected {NAME}")
    if entry.size > MANIFEST_BYTES:
        raise BrokenBundle(f"{NAME}: {entry.size} bytes, more than {MANIFEST_BYTES}")
    return b"".join(_chunks(archive, entry))


def _unpack(
    archive: tarfile.TarFile,
    entry: tarfile.TarInfo,
    manifest: Manifest,
    seen: set[str],
    folder: Path,
) -> None:
    name = entry.name
    if name not in manifest.members:
        raise BrokenBundle(f"member {shown(name)} is not in the manifest")
    if name in seen:
        raise BrokenBundle(f"member {shown(name)} is there twice")
    seen.add(name)
    if not _is_plain(entry):
        raise BrokenBundle(f"member {shown(name)} is no plain file")
    expected = manifest.members[name]
    if entry.size != expected.size:
        raise BrokenBundle(f"member {shown(name)}: {entry.size} bytes, expected {expected.size}")
    path = folder / name  # as the manifest was checked, a path below the folder
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, _MODE), "wb") as sink:
        for chunk in _chunks(archive, entry):
            digest.update(chunk)
            sink.write(chunk)
    if digest.hexdigest() != expected.sha256:
        raise BrokenBundle(f"member {shown(name)}: its SHA-256 is another than in the manifest")


def _is_plain(entry: tarfile.TarInfo) -> bool:
    return entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not entry.pax_headers


def _chunks(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> Iterator[bytes]:
    stream = archive.extractfile(entry)
    assert stream is not None
    left = entry.size
    while left:
        data = stream.read(min(left, _CHUNK))
        if not data:
            raise BrokenBundle(f"cut off in member {shown(entry.name)}")
        left -= len(data)
        yield data
