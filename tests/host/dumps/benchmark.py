# SPDX-License-Identifier: BSD-3-Clause
"""How long `khorig inspect` and `check` take, and how much memory.

Usage, at the root of the tree:
    PYTHONPATH=qemu:tests/host /usr/bin/python3 -m dumps.benchmark [FOLDER]

Prints a line for each verb and format: 1 GiB of RAM with 100,000 preserved blocks that hold random
bytes, and 64 GiB of which the same is in use. FOLDER, /dev/shm without one, needs 3 GiB.
"""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from dumps.dump_files import write_described, write_elf, write_kdump, write_packed
from khorig.view.memory import PhysRange
from view.handover_image import MIB, PAGE, FdtValue, HandoverImage, add_metadata

_BLOCKS = 100_000
_BEGIN = 1 << 30
_ROUNDS = 2
_GIB = 1 << 30


def build() -> HandoverImage:
    """The blocks, listed in a store as khorig's scenario `handover` does."""
    image = HandoverImage((PhysRange(_BEGIN, _GIB),), (PhysRange(_BEGIN + 64 * MIB, 64 * MIB),))
    rng = random.Random(1)
    blocks = []
    for _ in range(_BLOCKS):
        order = rng.choice((0, 0, 0, 0, 1, 1, 2))
        at = image.allocate(order)
        image.preserve(at, order)
        blocks.append(at | order)
    content = np.random.default_rng(1)
    for at in range(_BEGIN, image._next, 16 * MIB):
        size = min(16 * MIB, image._next - at)
        image.ram.write(at, content.bytes(size))
    add_metadata(image, 1)
    raw = struct.pack(f"<{len(blocks)}Q", *blocks)
    pages = [image.preserved_page(raw[at : at + PAGE]) for at in range(0, len(raw), PAGE)]
    store: FdtValue = {
        "compatible": "khorig-store-v1", "vmalloc": image.vmalloc(pages), "size": len(raw)
    }  # fmt: skip
    stores = image.fragment({"compatible": "khorig-stores-v1", "blocks": store})
    khorig = image.fragment({"compatible": "khorig-v1", "stores": image.link(stores)})
    image.clients["khorig"] = image.link(khorig)
    image.finish()
    return image


_RUN = """
import resource, sys, time
begin = time.monotonic()
from khorig.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    wall = time.monotonic() - begin
    usage = resource.getrusage(resource.RUSAGE_SELF)
    peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1]
    print(end.code or 0, wall, usage.ru_utime + usage.ru_stime, peak, file=sys.stderr)
"""


def measure(verb: str, path: Path) -> tuple[float, float, int]:
    """Seconds of the clock and of the CPU, and KiB, each the best of some runs."""
    runs = []
    for _ in range(_ROUNDS):
        done = subprocess.run(
            [sys.executable, "-c", _RUN, verb, str(path)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        status, wall, cpu, peak = done.stderr.split()[-4:]
        if status != "0":
            raise SystemExit(f"khorig {verb} {path} ended with status {status}")
        runs.append((float(wall), float(cpu), int(peak)))
    return min(r[0] for r in runs), min(r[1] for r in runs), min(r[2] for r in runs)


def widen(path: Path) -> Path:
    """The same image in 64 GiB of RAM."""
    beside = path.with_name(path.name.removesuffix(".ram") + ".json")
    description: dict[str, Any] = json.loads(beside.read_text())
    size = 64 * _GIB
    description.update(size=size, ram_map=[[hex(_BEGIN), hex(size), "0x0"]])
    os.truncate(path, size)
    beside.write_text(json.dumps(description))
    return path


def main() -> None:
    """See above."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "/dev/shm")
    image = build()
    scratch = [[hex(a.begin), hex(a.size)] for a in image.scratch]
    facts = {
        "arch": "arm64", "machine": "virt", "generation": 1, "at": "sealed",
        "root": hex(image.root), "scratch": scratch,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for writer, file in (
            (write_elf, "core"), (write_packed, "packed.ram.zst"), (write_kdump, "kdump"),
            (write_described, "image.ram"),
        ):  # fmt: skip
            path = Path(name) / file
            writer(path, image.ram, facts)
            report("1 GiB", path)
            if file != "image.ram":
                path.unlink()
        report("64 GiB", widen(Path(name) / "image.ram"))


def report(size: str, path: Path) -> None:
    """One line for each verb."""
    for verb in ("inspect", "check"):
        wall, cpu, memory = measure(verb, path)
        print(
            f"{size:>6}  {path.name:<16} {verb:<8} {wall:6.2f} s, {cpu:5.2f} s of CPU, "
            f"{memory >> 10:4} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
