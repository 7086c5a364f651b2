# SPDX-License-Identifier: BSD-3-Clause
"""Linux 7.4 calls scratch bootmem: kho_bootmem= (8fe64603a475), and out/bootmem_phys and
out/bootmem_len in debugfs (85d3615cea17). A 7.3 with these names stands in for it; words of equal
length need no other change."""

from __future__ import annotations

import re

import pytest

from khorig.api.rig import Rig
from khorig.pytest_plugin import built_peer
from khorig.rules.finding import Verdict

_NAMES = (b"scratch_phys", b"scratch_len", b"kho_scratch")  # files of debugfs and the option
_MESSAGE = re.compile(rb"KHO: [^\0]*")


def _renamed(text: bytes) -> bytes:
    return text.replace(b"scratch", b"bootmem")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An uncompressed Linux with the names of 7.4."""
    content = built_peer("arm64", "linux-7.3").image.read_bytes()
    for name in _NAMES:
        word = b"\0" + name + b"\0"
        assert content.count(word) == 1
        content = content.replace(word, _renamed(word))
    path = tmp_path_factory.mktemp("bootmem") / "Image"
    path.write_bytes(_MESSAGE.sub(lambda match: _renamed(match[0]), content))
    return str(path)


@pytest.mark.parametrize("option", ["kho_scratch", "kho_bootmem"])
def test_a_linux_that_calls_scratch_bootmem_is_compared_at_its_entry(
    rig: Rig, image: str, option: str
) -> None:
    options = (f"{option}=64M,64M,32M",)
    result = rig.run("virt", kernels=(image, image), linux_options=options).expect_pass()
    stops = [f"{r['gen']} {r['at']}" for r in result.records if r["ev"] == "stop"]
    assert stops == ["1 restored", "1 sealed", "2 entry", "2 restored"]
    log = [event["text"] for event in result.events("kernel-log")]
    assert "KHO: bootmem areas: lowmem: 64MiB global: 64MiB pernode: 32MiB" in log


@pytest.mark.parametrize("kernels", [("linux-7.3", "bootmem"), ("bootmem", "linux-7.3")])
def test_it_hands_over_from_and_to_one_that_does_not(
    rig: Rig, image: str, kernels: tuple[str, str]
) -> None:
    chain = tuple(image if name == "bootmem" else name for name in kernels)
    options = ("kho_scratch=64M,64M,32M",)
    result = rig.run("virt", kernels=chain, linux_options=options).expect_pass()
    log = [event["text"] for event in result.events("kernel-log")]
    for name in ("scratch", "bootmem"):
        assert f"KHO: {name} areas: lowmem: 64MiB global: 64MiB pernode: 32MiB" in log


def test_bootmem_without_room_is_named(rig: Rig, image: str) -> None:
    options = ("kho_bootmem=1G,2G,2M",)
    result = rig.run("virt", kernels=(image, image), linux_options=options)
    assert result.verdict is Verdict.FAIL
    assert result.cause.startswith("kho: switched itself off: no room for scratch"), result.cause
