# SPDX-License-Identifier: BSD-3-Clause
"""Versions that name their components. The tests make the images: no kernel writes them yet."""

from __future__ import annotations

import struct

import pytest
from dumps.sample import Sample, broken
from hypothesis import given, settings
from hypothesis import strategies as st

from khorig.kho.snapshot import NoHandover
from khorig.kho.version import Version
from khorig.out.inspect.summary import summary_lines

ROOT = "kho-v4;radix-v1;vmalloc-v1"


def composite(luo: bytes = b"luo-v5;block-v1", memfd: bytes = b"memfd-v2;vmalloc-v1") -> Sample:
    """A handover whose three versions are composite, as the RFC writes them."""
    s = Sample()
    s.changes["compatible"] = ROOT
    field = luo.ljust(-(-(len(luo) + 1) // 8) * 8, b"\0")
    header = field + struct.pack("<QQQ", 3, s.sessions, s.flb)
    s.image.ram.write(s.luo, header)
    s.image.clients["LUO"] = s.image.link(s.luo, len(header))
    s.image.ram.write(s.files + 16, memfd.ljust(48, b"\0"))
    return s.finish()


def test_all_three_are_read() -> None:
    s = composite()
    snapshot = s.snapshot()
    assert not broken(s.dump())
    assert snapshot.handover.codec.compatible == ROOT
    luo = snapshot.linux.luo
    assert luo and (luo.compatible, luo.liveupdate_num) == ("luo-v5;block-v1", 3)
    memfd = luo.sessions[0].files[0].memfd
    assert memfd and len(memfd.folios) == 2
    assert any(ROOT in line for line in summary_lines(snapshot))


@pytest.mark.parametrize(
    "root", ["kho-v4;block-v1;radix-v1", "kho-v3;radix-v1", "kho-v4;radix-v1", "kho-v4"]
)
def test_other_roots(root: str) -> None:
    s = Sample()
    s.changes["compatible"] = root
    assert s.finish().snapshot().handover.codec.compatible == root
    assert not broken(s.dump())


@pytest.mark.parametrize("root", ["kho-v4;radix-v2", "kho-v4;", "kho-v9;radix-v1", ";kho-v4"])
def test_a_root_of_unknown_components(root: str) -> None:
    s = Sample()
    s.changes["compatible"] = root
    with pytest.raises(NoHandover) as caught:
        s.finish().snapshot()
    if root.startswith("kho-v4;"):
        assert f"names {root.removeprefix('kho-v4;')!r}" in str(caught.value)


@pytest.mark.parametrize(
    "luo, memfd, expected",
    [
        (b"luo-v5;radix-v1;block-v1", b"memfd-v2", {"KHR-I200"}),
        (b"luo-v5;block-v1;block-v1", b"memfd-v2", {"KHR-I200"}),
        (b"luo-v5", b"memfd-v2;vmalloc-v1;block-v1", {"KHR-I200"}),
        (b"luo-v5;block-v2", b"memfd-v2", {"KHR-I050", "KHR-I070"}),
        (b"luo-v5", b"memfd-v1;vmalloc-v1", {"KHR-I055", "KHR-I070"}),
        (b"luo-v5", b"memfd-v2;vmalloc-v2", {"KHR-I070"}),  # unknown, and not broken
        (b"luo-v5", b"memfd-v3", {"KHR-I070"}),
        (b"luo-v5", b"memfd-x", {"KHR-I055", "KHR-I070"}),
    ],
)
def test_what_is_wrong_has_its_rule(luo: bytes, memfd: bytes, expected: set[str]) -> None:
    assert broken(composite(luo, memfd).dump()).keys() == expected


def test_a_header_too_short_for_its_version() -> None:
    s = composite()
    s.image.clients["LUO"] = s.image.link(s.luo, 32)
    s.image.finish(**s.changes)
    assert [problem.id for problem in s.snapshot().linux.problems] == ["luo-size"]


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_version(text: str) -> None:
    version = Version.of(text)
    assert ";".join((version.base, *version.components)) == text
    assert version.is_readable is not bool(version.unknown)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_as_a_header_of_luo(content: bytes) -> None:
    s = _SAMPLE
    s.image.ram.write(s.luo, content.ljust(400, b"\0"))
    broken(s.dump())


_SAMPLE = composite()
