# SPDX-License-Identifier: BSD-3-Clause
"""What the console parser makes of lines, good and bad."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khorig.guest.event import EventFieldError, GuestEvent
from khorig.vm.serial_port import ConsoleItem, ConsoleLine, GarbledLine, SerialPort, parse_line


def test_an_event_has_its_fields() -> None:
    item = parse_line('@khorig {"ev":"stop","gen":2,"t":7,"root":"0x1000","blocks":3}', 1.5)
    assert isinstance(item, GuestEvent)
    assert (item.kind, item.generation, item.virtual_ns, item.host_s) == ("stop", 2, 7, 1.5)
    assert (item.address("root"), item.number("blocks")) == (0x1000, 3)


def test_fields_of_another_type_are_errors() -> None:
    item = parse_line('@khorig {"ev":"x","gen":1,"t":0,"a":"12","b":true,"c":-1,"d":"0xg"}', 0)
    assert isinstance(item, GuestEvent)
    for read, name in (
        (item.address, "a"), (item.number, "b"), (item.number, "c"), (item.address, "d"),
        (item.text, "b"), (item.number, "missing"), (item.address, "missing"),
    ):  # fmt: skip
        try:
            read(name)
        except EventFieldError as error:
            assert f"'{name}'" in str(error)
        else:
            raise AssertionError(name)


def test_an_address_has_64_bits() -> None:
    good = parse_line('@khorig {"ev":"x","gen":1,"t":0,"a":"0xffffffffffffffff"}', 0)
    bad = parse_line('@khorig {"ev":"x","gen":1,"t":0,"a":"0x10000000000000000"}', 0)
    assert isinstance(good, GuestEvent) and isinstance(bad, GuestEvent)
    assert good.address("a") == (1 << 64) - 1
    try:
        bad.address("a")
    except EventFieldError:
        return
    raise AssertionError


def test_an_event_that_a_panic_cuts_gives_way_to_the_panic() -> None:
    item = parse_line(
        '@khorig {"ev":"phase","gen":2,"t":7,"na@khorig {"ev":"panic","gen":2,"t":9}', 0
    )
    assert isinstance(item, GuestEvent) and (item.kind, item.virtual_ns) == ("panic", 9)


@pytest.mark.parametrize("field", ["gen", "t"])
@pytest.mark.parametrize("value", ["true", "-1", "1.0", '"1"', "null"])
def test_generation_and_time_are_counts(field: str, value: str) -> None:
    fields = {"ev": '"x"', "gen": "1", "t": "0", field: value}
    text = "@khorig {" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}"
    item = parse_line(text, 0)
    assert isinstance(item, GarbledLine) and f"'{field}'" in item.why


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text: str) -> None:
    assert isinstance(parse_line(text, 0), (ConsoleLine, GuestEvent, GarbledLine))
    assert isinstance(parse_line("@khorig " + text, 0), (GuestEvent, GarbledLine))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["ev", "gen", "t", "at", "x"]), _JSON))
def test_no_object_breaks_the_parser(fields: dict[str, object]) -> None:
    item = parse_line("@khorig " + json.dumps(fields), 0)
    if isinstance(item, GuestEvent):
        json.dumps(dict(item.fields), allow_nan=False)


def _port(tmp_path: Path) -> tuple[SerialPort, socket.socket]:
    ours, theirs = socket.socketpair()
    return SerialPort(ours, tmp_path / "console.log"), theirs


def _texts(items: list[ConsoleItem]) -> list[str]:
    return [item.text for item in items if isinstance(item, ConsoleLine)]


def test_every_byte_is_kept_however_it_is_cut(tmp_path: Path) -> None:
    port, theirs = _port(tmp_path)
    data = b"one\r\ntw\xffo\nthree"
    texts: list[str] = []
    with port:
        for byte in data:
            theirs.send(bytes([byte]))
            texts += _texts(port.receive())
        theirs.close()
        texts += _texts(port.receive())
    assert texts == ["one", "tw\ufffdo", "three"]
    assert (tmp_path / "console.log").read_bytes() == data


def test_a_line_without_end_does_not_fill_memory(tmp_path: Path) -> None:
    port, theirs = _port(tmp_path)
    texts: list[str] = []
    with port:
        for _ in range(64):
            theirs.sendall(b"x" * 65536)
            texts += _texts(port.receive())
        theirs.close()
        texts += _texts(port.receive())
    assert sum(map(len, texts)) == 64 * 65536
    assert len(texts) >= 3


def test_writing_to_a_guest_that_is_gone_is_no_error(tmp_path: Path) -> None:
    port, theirs = _port(tmp_path)
    theirs.close()
    with port:
        port.send(b"g")
        assert port.receive() == []
        assert port.closed
