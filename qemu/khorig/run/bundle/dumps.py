# SPDX-License-Identifier: BSD-3-Clause
"""Guest RAM at the stops of a run, as a bundle holds it: each image as what changed since the one
before, the first since memory of zeros."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path
from typing import BinaryIO, Callable, cast

from khorig.mem.errors import Error
from khorig.mem.formats.source import FileSource
from khorig.mem.guest_ram import Extent, holes_left_out
from khorig.mem.formats.zstd_image import ZstdImage
from khorig.mem.image_changes import PAGE, apply_changes, write_changes
from khorig.mem.untrusted import Untrusted, read_object
from khorig.run.bundle.errors import BrokenBundle
from khorig.run.sequence import STOPS
from khorig.vm.ram_image import save_ram_image

FOLDER = "dumps"
_CHANGES = ".changes"
_SIDECAR = ".json"
_IMAGE = ".ram.zst"
_DESCRIPTION_BYTES = 64 << 20
_NAME = re.compile(r"gen(?P<generation>\d{1,9})\.(?P<at>[a-z]+)")
_MOST_PAGES = (4 << 30) // PAGE  # restored, all images together

Report = Callable[[str], None]


def images_of(folder: Path) -> list[str]:
    """Names of the images in the folder of a run, without suffixes, in the order of the stops."""
    names = [path.name.removesuffix(_IMAGE) for path in folder.glob(f"*{_IMAGE}")]
    return [name for name in sorted(names, key=_order) if _NAME.fullmatch(name)]


def _order(name: str) -> tuple[int, int]:
    match = _NAME.fullmatch(name)
    if match is None:
        return 0, 0
    at = match["at"]
    return int(match["generation"]), STOPS.index(at) if at in STOPS else len(STOPS)


def pack_dumps(folder: Path, target: Path, most: int, leave_out: Report) -> dict[str, Path]:
    """Writes the images of a run as files of changes into `target`. Returns them and their
    descriptions by the names of members. An image whose changes, packed, take the sum beyond `most`
    bytes is left out with those after it, each with a line for `leave_out`. Raises OSError."""
    members: dict[str, Path] = {}
    taken = 0
    with contextlib.ExitStack() as stack:
        before: ZstdImage | None = None
        names = images_of(folder)
        for number, name in enumerate(names):
            path = target / f"{number + 1:03}.{name}{_CHANGES}"
            try:
                image = ZstdImage(
                    folder / f"{name}{_IMAGE}", FileSource(folder / f"{name}{_IMAGE}")
                )
                stack.callback(image.close)
                with path.open("wb") as sink:
                    write_changes(sink, image, before)
            except (Error, ValueError) as error:
                leave_out(f"guest RAM from {name} on: {error}")
                return members
            taken += _packed_size(path)
            if taken > most:
                left = ", ".join(names[number:])
                leave_out(f"guest RAM at {left}: more than {most} bytes (--dumps)")
                path.unlink()
                return members
            members[f"{FOLDER}/{path.name}"] = path
            members[f"{FOLDER}/{name}{_SIDECAR}"] = folder / f"{name}{_SIDECAR}"
            before = image
    return members


def restore_dumps(folder: Path, size: int) -> list[Path]:
    """Makes the images again, beside their changes in `folder`, which is below that of an unpacked
    bundle. `size` is the guest's RAM in bytes. Raises BrokenBundle, OSError."""
    made = []
    left = _MOST_PAGES
    with tempfile.TemporaryFile(dir=folder) as temporary:
        file = cast(BinaryIO, temporary)
        file.truncate(size)
        for path in sorted(folder.glob(f"*{_CHANGES}")):
            name = path.name.removesuffix(_CHANGES).partition(".")[2]
            try:
                with path.open("rb") as changes:
                    left -= apply_changes(changes, file, size, left)
                description = read_object(
                    (folder / f"{name}{_SIDECAR}").read_bytes(), _DESCRIPTION_BYTES
                )
            except FileNotFoundError:
                raise BrokenBundle(f"member {FOLDER}/{name}{_SIDECAR} is missing") from None
            except Untrusted as error:
                raise BrokenBundle(f"member {FOLDER}/{path.name}: {error}") from None
            file.flush()
            image = folder / f"{name}{_IMAGE}"
            save_ram_image(_SparseFile(file.fileno(), size), folder / name, description)
            made.append(image)
    return made


class _SparseFile:
    """See khorig.vm.ram_image.RamBytes."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self.size = size

    def extents(self) -> list[Extent]:
        return list(holes_left_out(self._descriptor, self.size))

    def pread(self, size: int, offset: int) -> bytes:
        return os.pread(self._descriptor, size, offset)


def _packed_size(path: Path) -> int:
    """About what the file takes in a bundle."""
    import zstandard

    count = 0
    compressor = zstandard.ZstdCompressor(level=3).compressobj()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            count += len(compressor.compress(chunk))
    return count + len(compressor.flush())
