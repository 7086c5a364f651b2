# SPDX-License-Identifier: BSD-3-Clause
"""How long `khorig diff` takes, beside `cmp` on the same files in turns.

    PYTHONPATH=qemu:tests/host /usr/bin/python3 tests/host/diff/bench_diff.py [FOLDER]

Writes two images of 1 GiB with 100,000 preserved blocks and two sparse ones of 64 GiB into FOLDER
(a temporary one by default; 3 GiB of room).
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from diff.images import keep
from khorig.view.memory import PhysRange
from view.handover_image import PAGE, FdtValue, HandoverImage, add_metadata

_RAM = PhysRange(0, 1 << 30)
_SCRATCH = (PhysRange(16 << 20, 64 << 20),)
_BLOCKS = 100_000
_ORDERS = (0, 0, 0, 1, 1, 2)
_SPARSE = 64 << 30
_ROUNDS = 3


def _fill(image: HandoverImage) -> list[int]:
    """Preserves the blocks with random content and lists them in a store."""
    noise = np.random.default_rng(1)
    add_metadata(image, 1)
    blocks = []
    for number in range(_BLOCKS):
        order = _ORDERS[number % len(_ORDERS)]
        at = image.allocate(order)
        image.preserve(at, order)
        image.ram.write(at, noise.bytes(PAGE << order))
        blocks.append(at | order)
    raw = struct.pack(f"<{len(blocks)}Q", *blocks)
    pages = [image.preserved_page(raw[at : at + PAGE]) for at in range(0, len(raw), PAGE)]
    store: FdtValue = {"compatible": "khorig-store-v1", "vmalloc": image.vmalloc(pages), "size": len(raw)}
    stores = image.fragment({"compatible": "khorig-stores-v1", "blocks": store})
    khorig = image.fragment({"compatible": "khorig-v1", "stores": image.link(stores)})
    image.clients["khorig"] = image.link(khorig)
    image.finish()
    return blocks


def _write_images(a: Path, b: Path, copy: Path) -> None:
    """Before, after, and a copy of before, which `cmp` has to read to its end."""
    image = HandoverImage((_RAM,), _SCRATCH)
    blocks = _fill(image)
    keep(image, a, frames=None)
    image.ram.write(_SCRATCH[0].begin, np.random.default_rng(2).bytes(16 << 20))
    image.ram.write((blocks[5000] & -PAGE) + 100, b"x")
    keep(image, b, frames=None, generation=2, at="entry")
    shutil.copyfile(a, copy)


def _sparse(folder: Path, name: str, source: Path) -> Path:
    """64 GiB with 32 MiB in it."""
    path = folder / name
    with path.open("wb") as file, source.open("rb") as content:
        file.truncate(_SPARSE)
        file.seek(_SPARSE // 2)
        file.write(content.read(32 << 20))
    return path


def _time(name: str, words: tuple[object, ...], expected: int) -> None:
    """Runs a command and prints what it took."""
    began = time.monotonic()
    process = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == expected, (words, process.returncode)
    print(
        f"{name:<22} {wall:6.2f} s wall  {used.ru_utime + used.ru_stime:6.2f} s CPU  "
        f"{used.ru_maxrss >> 10:5} MiB"
    )


def main(folder: Path) -> None:
    """Prints a line for each measurement."""
    khorig = (sys.executable, "-m", "khorig", "diff")
    a, b, copy = (folder / f"{name}.ram" for name in ("a", "b", "copy"))
    # By itself: the most memory of a child would be no less than this process has.
    writer = multiprocessing.Process(target=_write_images, args=(a, b, copy))
    writer.start()
    writer.join()
    for _ in range(_ROUNDS):
        _time("diff, 1 GiB", (*khorig, a, b), 1)
        _time("cmp, 1 GiB", ("cmp", a, copy), 0)
    sparse = (_sparse(folder, "s.ram", a), _sparse(folder, "t.ram", a))
    _time("diff, 64 GiB, sparse", (*khorig, *sparse), 0)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as chosen:
            main(Path(chosen))
