# SPDX-License-Identifier: BSD-3-Clause
"""A dump with all of these formats, damaged over and over: an answer, never a crash."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

from dumps.dump_files import write_described
from dumps.mutation import COUNT, SEED, mutate
from formats.luo_image import LuoImage, violated
from formats.test_hugetlb import hugetlb
from formats.test_hwpoison import FREE
from formats.test_pci import TWO, pci
from formats.test_pstore import pstore
from view.handover_image import SCRATCH

from khorig.kho.clients.formats.discovery import all_formats

_SHARE = 0.1  # of the damages that the memory of real kernels gets


def everything() -> LuoImage:
    """Each format once, with the lists that it has."""
    image = LuoImage()
    vmalloc = image.image.vmalloc
    image.flb("pci-v2", image.blob(pci(TWO)))
    image.flb("hugetlb-v1", image.blob(hugetlb([(0, 9)])))
    arrays = [image.blob(struct.pack("<QQ", 0, 1)) for _ in range(3)]
    image.flb("iommu-liveupdate", image.blob(struct.pack("<QQQQ", 1, *arrays)))
    image.file(
        "kvm_vm_luo_v1", image.blob(struct.pack("<QQ", 1, 1) + vmalloc([image.blob(b"")])), 1
    )
    image.file("guest_memfd_luo_v1", image.blob(_file(image, "<QQQQ", 1 << 16, 3, 2, 1)), 2)
    image.file("tmpfs-mnt-v1", image.blob(struct.pack("<QII", 1, 0o755, 0)), 3)
    file = _file(image, "<QQQIIQ", 3, 0, 1 << 16, 0o600, 0, 2) + b"name"
    image.file("tmpfs-file-v1", image.blob(file), 4)
    huge = _file(image, "<QQQ", 1 << 16, 0, 2) + bytes([0])
    image.file("huge-memfd-v1", image.blob(huge), 5)
    poisoned = vmalloc([image.blob(struct.pack("<Q", FREE))])
    image.client("hwpoison", image.blob(struct.pack("<IIQ", 1, 0, 1) + poisoned), 32)
    image.client("pstore-kho", image.blob(pstore(99)), 4096)
    return image.finish()


def _file(image: LuoImage, format: str, *fields: int) -> bytes:
    folios = [image.blob(b""), image.blob(b"")]
    entries = b"".join(struct.pack("<QQ", at >> 12, n) for n, at in enumerate(folios))
    return struct.pack(format, *fields) + image.image.vmalloc([image.blob(entries)])


def test_all_of_them_are_there() -> None:
    image = everything()
    assert violated(image) == {}
    found = {name for name, client in image.snapshot().decoded if client.state is not None}
    assert found == {format.name for format in all_formats()}


def test_damage(tmp_path: Path) -> None:
    image = everything()
    path = tmp_path / "everything.ram"
    scratch = [[hex(area.begin), hex(area.size)] for area in SCRATCH]
    facts: dict[str, Any] = {"generation": 1, "at": "sealed", "machine": "virt", "arch": "arm64"}
    write_described(path, image.image.ram, {**facts, "root": None, "scratch": scratch})
    mutate(path, int(COUNT * _SHARE), random.Random(f"{SEED}/formats"), None)
