# SPDX-License-Identifier: BSD-3-Clause
"""JSON of a guest, of QEMU, of files that lay around."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khorig.mem.untrusted import DEEPEST, Untrusted, read_json, read_object, typed


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("1e999", "1e999 does not fit"),
        ("18446744073709551616", "does not fit in 64 bits"),
        ("-9223372036854775809", "does not fit in 64 bits"),
        ("9" * 6000, "does not fit in 64 bits"),
        ('{"a":1,"a":2}', "an object with two 'a'"),
        ('{"x":"\\ud800"}', "half of a surrogate pair"),
        ('{"\\ud800":1}', "half of a surrogate pair"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested more than 64"),
        ("[" * 100000 + "]" * 100000, "nested more than 64"),
        ('"' + "x" * 300000 + '"', "more than 262144 bytes"),
    ],
)
def test_what_is_refused(data: str | bytes, why: str) -> None:
    with pytest.raises(Untrusted, match=why):
        read_json(data, 1 << 18)


def test_what_just_fits() -> None:
    assert read_json("18446744073709551615", 99) == (1 << 64) - 1
    assert read_json("-9223372036854775808", 99) == -(1 << 63)
    assert read_json('"\\ud83d\\ude00 \u00fc"', 99) == "\U0001f600 \u00fc"
    assert read_json("[" * DEEPEST + "]" * DEEPEST, 999)


def test_an_object_is_an_object() -> None:
    with pytest.raises(Untrusted, match=r"\[1\], expected an object"):
        read_object("[1]", 99)


@given(st.text())
def test_no_text_is_another_error(data: str) -> None:
    try:
        read_json(data, 1 << 20)
    except Untrusted:
        pass


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(st.characters(
        blacklist_categories=["Cs"]), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcde"), inner),
    max_leaves=9,
)  # fmt: skip


@given(_JSON)
def test_what_is_written_is_read(value: object) -> None:
    assert read_json(json.dumps(value), 1 << 20) == value


@dataclass
class _Record:
    a: str
    b: int = 7
    c: tuple[str, ...] = ()
    d: float = 0.0


@given(_JSON)
def test_a_dataclass_is_well_typed_or_refused(value: object) -> None:
    try:
        record = typed(_Record, value)
    except Untrusted:
        return
    assert type(record.a) is str and type(record.b) is int and type(record.d) is float
    assert type(record.c) is tuple and all(type(item) is str for item in record.c)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"a": 1}, "'a': 1, expected a string"),
        ({"a": "", "b": True}, "'b': True, expected an integer"),
        ({"a": "", "c": ["x", 2]}, "'c': 2, expected a string"),
        ({"a": "", "d": "1"}, "'d': '1', expected a number"),
        ({}, "missing 1 required positional argument: 'a'"),
        ([], "expected an object"),
    ],
)
def test_a_wrong_field_is_named(value: object, why: str) -> None:
    with pytest.raises(Untrusted, match=why):
        typed(_Record, value)
