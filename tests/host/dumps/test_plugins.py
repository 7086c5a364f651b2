# SPDX-License-Identifier: BSD-3-Clause
"""Distributions outside of the tree add decoders and rules; broken ones are named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dumps.dump_files import write_described
from dumps.sample import Sample

import khorig

_PACKAGES = str(Path(khorig.__file__).parents[1])
_IMPORTS = """
from khorig.kho.client_decoder import ClientDecoder, DecodedClient
from khorig.kho.clients.luo_decoder import LuoDecoder
from khorig.kho.codecs import CODECS, Codec
from khorig.mem.errors import DecodeError, Problem
from khorig.mem.memory import PhysRange
from khorig.rules.rule import Rule

def rule(check, id="EXT-1"):
    return Rule(id, "an example", "m", "r", (), "n", check=check)

def fragment(memory, handover):
    found = handover.fragment("/netdev")
    return DecodedClient("a network card", [("netdev", PhysRange(found.address, 4096))])
"""


class Outside:
    """A folder on PYTHONPATH with one distribution, and a dump with clients of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sample = Sample()
        for name in ("netdev", "bad1", "bad2", "bad3", "bad4"):
            page = sample.image.fragment({"compatible": "netdev-v1"})
            sample.image.clients[name] = sample.image.link(page)
        sample.finish()
        facts = {"arch": "x86_64", "machine": "q35", "generation": 1, "at": "sealed"}
        self.dump = folder / "sample.ram"
        write_described(self.dump, sample.image.ram, {**facts, "root": hex(sample.image.root)})
        self.root = sample.image.root

    def add(self, group: str, **objects: str) -> None:
        """Entry points, whose objects are Python expressions; each has a module of its own."""
        information = self.folder / "netdev-1.0.dist-info"
        information.mkdir(exist_ok=True)
        (information / "METADATA").write_text("Name: khorig-netdev\nVersion: 1.0\n")
        lines = [f"[{group}]"]
        for name, expression in objects.items():
            (self.folder / f"netdev_{name}.py").write_text(f"{_IMPORTS}\nit = {expression}\n")
            lines.append(f"{name} = netdev_{name}:it")
        with (information / "entry_points.txt").open("a") as file:
            file.write("\n".join([*lines, ""]))

    def khorig(self, *words: object) -> tuple[int, str, str]:
        """Status, what is printed, and to stderr."""
        path = os.pathsep.join((_PACKAGES, str(self.folder)))
        done = subprocess.run(
            [sys.executable, "-m", "khorig", *map(str, words)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    """Without a distribution yet."""
    return Outside(tmp_path)


def test_a_client_that_nobody_knows(outside: Outside) -> None:
    status, out, err = outside.khorig("check", outside.dump)
    assert (status, err) == (0, "")
    with khorig.open_dump(outside.dump) as dump:
        assert "fragment /netdev" in repr(dump.clients["netdev"])


def test_a_decoder(outside: Outside) -> None:
    outside.add("khorig.decoders", it="ClientDecoder('netdev', fragment)")
    status, out, err = outside.khorig("inspect", outside.dump)
    assert (status, err) == (0, "") and "netdev: a network card" in out
    status, out, err = outside.khorig("inspect", outside.dump, "--json")
    assert json.loads(out)["clients"]["netdev"] == "a network card"
    status, out, err = outside.khorig("check", outside.dump)
    # It claims a page that the fragment has already: what it says is looked at.
    assert (status, err) == (1, "") and "page owned by both fragment /netdev and netdev" in out


def test_a_decoder_of_what_luo_carries(outside: Outside) -> None:
    decode = "lambda state: DecodedClient(f'{state.owner} of {state.data}')"
    outside.add("khorig.decoders", it=f"LuoDecoder('shared', {decode})")
    status, out, err = outside.khorig("inspect", outside.dump)
    assert (status, err) == (0, "") and "shared state 'shared' of 1 files, LUO shared" in out
    outside.add("khorig.decoders", bad="LuoDecoder('memfd-v2', lambda state: 1 / 0, 'pci')")
    status, out, err = outside.khorig("check", outside.dump)
    assert status == 1 and "decoder 'memfd-v2' of khorig-netdev 1.0 raised ZeroDivision" in out
    assert "FAILED  KHR-I073" in out


def test_a_version_of_the_handover(outside: Outside) -> None:
    codec = "CODECS['kho-v4'].decode_tracker, 'preserved-data', 'blob-size'"
    outside.add("khorig.decoders", it=f"Codec('kho-v9', 'Linux 9', {codec})")
    content = outside.dump.read_bytes()
    outside.dump.write_bytes(content.replace(b"kho-v4\0", b"kho-v9\0"))
    status, out, err = outside.khorig("inspect", outside.dump)
    assert (status, err) == (0, "") and "kho-v9 (Linux 9)" in out


def test_a_rule(outside: Outside) -> None:
    outside.add("khorig.rules", it="rule(lambda s: [(s.root, f'{s.handover.clients} clients')])")
    status, out, err = outside.khorig("check", outside.dump)
    assert (status, err) == (1, "")
    assert "FAILED  EXT-1  an example" in out and f"{outside.root:#018x}  10 clients" in out
    status, out, err = outside.khorig("explain", "EXT-1")
    assert (status, err) == (0, "") and "from khorig-netdev 1.0" in out


def test_a_broken_plugin_is_named(outside: Outside) -> None:
    outside.add(
        "khorig.rules",
        a="1 / 0",
        b="exit(3)",
        c="'text'",
        d="rule(None, 'KHR-I001')",
    )
    outside.add("khorig.decoders", e="7")
    status, out, err = outside.khorig("check", outside.dump)
    assert status == 0 and "0 failed" in out
    head = "khorig: plugin '{}' of khorig-netdev 1.0 ({}) is not used: "
    assert sorted(err.splitlines()) == [
        head.format("a", "khorig.rules") + "ZeroDivisionError: division by zero",
        head.format("b", "khorig.rules") + "SystemExit: 3",
        head.format("c", "khorig.rules") + "it is of type str, expected Rule",
        head.format("d", "khorig.rules") + "there is a Rule 'KHR-I001' already",
        head.format("e", "khorig.decoders") + "it is of type int, "
        "expected ClientDecoder or Codec or LuoDecoder",
    ]


def test_a_plugin_that_fails_in_use(outside: Outside) -> None:
    outside.add(
        "khorig.rules",
        a="rule(lambda s: s.nothing)",
        b="rule(lambda s: [(-1 << 99, 'far')], 'EXT-2')",
    )
    decoder = "ClientDecoder('{}', lambda m, h: {})"
    outside.add(
        "khorig.decoders",
        c=decoder.format("bad1", "None"),
        d=decoder.format("bad2", "DecodedClient(1, [('x', PhysRange(-5, 1 << 80))])"),
        e=decoder.format("bad3", "m.view(1 << 50, 8)"),
        f=decoder.format("bad4", "DecodedClient(1, problems=[Problem('x', 0, 'odd')])"),
    )
    status, out, err = outside.khorig("check", outside.dump)
    assert (status, err) == (1, "")
    for text in (
        "FAILED  EXT-1  an example",
        "rule of khorig-netdev 1.0 raised AttributeError(",
        "FAILED  EXT-2  an example",
        "0x0000000000000000  far",
        "FAILED  KHR-I073",
        "decoder 'bad1' of khorig-netdev 1.0 raised AttributeError(",
        "decoder 'bad2' of khorig-netdev 1.0 raised ValueError('memory at -0x5 of ",
        "0x8 bytes are not inside RAM",
        "  odd",
    ):
        assert text in out, (text, out)


def test_a_damaged_list_of_entry_points(outside: Outside) -> None:
    outside.add("khorig.rules", it="rule(None)")
    path = outside.folder / "netdev-1.0.dist-info" / "entry_points.txt"
    path.write_bytes(b"[khorig.rules]\nit\xff = \n= x\n]")
    status, out, err = outside.khorig("check", outside.dump)
    assert status == 0
    assert err.startswith("khorig: the entry points of khorig-netdev 1.0 cannot be read: Unicode")
    assert err.count("\n") == 1
