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
    """A folder on PYTHONPATH with one distribution, and a dump with a client "netdev"."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sample = Sample()
        page = sample.image.fragment({"compatible": "netdev-v1"})
        sample.image.clients["netdev"] = sample.image.link(page)
        sample.finish()
        facts = {"arch": "x86_64", "machine": "q35", "generation": 1, "at": "sealed"}
        self.dump = folder / "sample.ram"
        write_described(self.dump, sample.image.ram, {**facts, "root": hex(sample.image.root)})
        self.page, self.root = page, sample.image.root

    def add(self, group: str, expression: str) -> None:
        """An entry point `it`, whose object is a Python expression."""
        information = self.folder / "netdev-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Name: khorig-netdev\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[{group}]\nit = netdev:it\n")
        (self.folder / "netdev.py").write_text(f"{_IMPORTS}\nit = {expression}\n")

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
    outside.add("khorig.decoders", "ClientDecoder('netdev', fragment)")
    status, out, err = outside.khorig("inspect", outside.dump)
    assert (status, err) == (0, "") and "netdev: a network card" in out
    status, out, err = outside.khorig("inspect", outside.dump, "--json")
    assert json.loads(out)["clients"]["netdev"] == "a network card"
    status, out, err = outside.khorig("check", outside.dump)
    # It claims a page that the fragment has already: what it says is looked at.
    assert (status, err) == (1, "") and "page owned by both fragment /netdev and netdev" in out


def test_a_version_of_the_handover(outside: Outside) -> None:
    codec = "CODECS['kho-v4'].decode_tracker, 'preserved-data', 'blob-size'"
    outside.add("khorig.decoders", f"Codec('kho-v9', 'Linux 9', {codec})")
    content = outside.dump.read_bytes()
    outside.dump.write_bytes(content.replace(b"kho-v4\0", b"kho-v9\0"))
    status, out, err = outside.khorig("inspect", outside.dump)
    assert (status, err) == (0, "") and "kho-v9 (Linux 9)" in out


def test_a_rule(outside: Outside) -> None:
    outside.add("khorig.rules", "rule(lambda s: [(s.root, f'{s.handover.clients} clients')])")
    status, out, err = outside.khorig("check", outside.dump)
    assert (status, err) == (1, "")
    assert "FAILED  EXT-1  an example" in out and f"{outside.root:#018x}  6 clients" in out
    status, out, err = outside.khorig("explain", "EXT-1")
    assert (status, err) == (0, "") and "from khorig-netdev 1.0" in out


@pytest.mark.parametrize(
    "group, expression, says",
    [
        ("khorig.rules", "1 / 0", "is not used: ZeroDivisionError: division by zero"),
        ("khorig.rules", "exit(3)", "is not used: SystemExit: 3"),
        ("khorig.rules", "'text'", "is not used: it is of type str, expected Rule"),
        ("khorig.rules", "rule(None, 'KHR-I001')", "there is a Rule 'KHR-I001' already"),
        ("khorig.decoders", "7", "it is of type int, expected ClientDecoder or Codec"),
    ],
)
def test_a_broken_plugin_is_named(outside: Outside, group: str, expression: str, says: str) -> None:
    outside.add(group, expression)
    status, out, err = outside.khorig("check", outside.dump)
    assert status == 0 and "0 failed" in out
    [line] = err.splitlines()
    assert line.startswith(f"khorig: plugin 'it' of khorig-netdev 1.0 ({group}) is not used: ")
    assert says in line


@pytest.mark.parametrize(
    "group, expression, says",
    [
        ("khorig.rules", "rule(lambda s: s.nothing)", "FAILED  EXT-1|rule of khorig-netdev 1.0 raised"),
        ("khorig.rules", "rule(lambda s: [(-1 << 99, 'far')])", "FAILED  EXT-1|  far"),
        ("khorig.decoders", "ClientDecoder('netdev', lambda m, h: None)", "of khorig-netdev 1.0 raised"),
        (
            "khorig.decoders",
            "ClientDecoder('netdev', lambda m, h: DecodedClient(1, [('a', PhysRange(-5, 1 << 80))]))",
            "FAILED  KHR-I073|of khorig-netdev 1.0 raised ValueError('memory at -0x5 of ",
        ),
        (
            "khorig.decoders",
            "ClientDecoder('netdev', lambda m, h: m.view(1 << 50, 8))",
            "FAILED  KHR-I0|0x8 bytes are not inside RAM",
        ),
        (
            "khorig.decoders",
            "ClientDecoder('netdev', lambda m, h: DecodedClient(1, problems=[Problem('x', 0, 'odd')]))",
            "FAILED  KHR-I073|odd",
        ),
    ],
)  # fmt: skip
def test_a_plugin_that_fails_in_use(
    outside: Outside, group: str, expression: str, says: str
) -> None:
    outside.add(group, expression)
    status, out, err = outside.khorig("check", outside.dump)
    assert (status, err) == (1, "")
    assert all(part in out for part in says.split("|")), out


def test_a_damaged_list_of_entry_points(outside: Outside) -> None:
    outside.add("khorig.rules", "rule(None)")
    path = outside.folder / "netdev-1.0.dist-info" / "entry_points.txt"
    path.write_bytes(b"[khorig.rules]\nit\xff = \n= x\n]")
    status, out, err = outside.khorig("check", outside.dump)
    assert status == 0
    assert err.startswith("khorig: the entry points of khorig-netdev 1.0 cannot be read: Unicode")
    assert err.count("\n") == 1
