# SPDX-License-Identifier: BSD-3-Clause
"""`khorig inspect`, `check` and `explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest
from dumps.dump_files import write_described, write_raw
from dumps.sample import FRAME_TABLE, Sample
from view.handover_image import RAM

from khorig.cli.main import main
from khorig.rules.registry import RULES, static_rules

Verb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verb(capsys: pytest.CaptureFixture[str]) -> Verb:
    """Runs the command line: status, what it prints, and to stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, out, err

    return run


def write(folder: Path, sample: Sample) -> Path:
    path = folder / "sample.ram"
    table = {"table": hex(FRAME_TABLE), "first": RAM.begin >> 12, "count": RAM.size >> 12}
    facts = {
        "arch": "x86_64", "machine": "q35", "generation": 1, "at": "sealed",
        "root": hex(sample.image.root), "frames": table,
    }  # fmt: skip
    write_described(path, sample.image.ram, facts)
    return path


def test_inspect(verb: Verb, tmp_path: Path) -> None:
    path = write(tmp_path, Sample().finish())
    status, out, _ = verb("inspect", path)
    assert status == 0 and "kho-v4" in out and "# preserved" in out and "R root" in out
    status, out, _ = verb("inspect", path, "--json", "--pages")
    document: dict[str, Any] = json.loads(out)
    assert document["blocks"] == len(document["preserved"])
    assert document["clients"]["LUO"]["sessions"]["vm"][0]["folios"] == 2
    assert document["clients"]["kho_test"]["ok"]
    assert sum(owner["pages"] for owner in document["owners"]) == document["pages"]
    status, out, _ = verb("inspect", path, "--pages")
    assert len(out.splitlines()) == document["blocks"] and "memblock/mem0" in out
    status, out, _ = verb("inspect", path, "--dts")
    assert 'compatible = "khorig-stores-v1";' in out and "preserved-data = /* u64 0x" in out


def test_status(verb: Verb, tmp_path: Path) -> None:
    sample = Sample().finish()
    path = write(tmp_path, sample)
    status, out, _ = verb("check", path)
    assert status == 0 and "0 warnings, 0 failed" in out
    sample.image.ram.write(sample.luo, b"luo-v6")
    path = write(tmp_path, sample)
    status, out, _ = verb("check", path)
    assert status == 1 and "FAILED  KHR-I050" in out and "version 'luo-v6', expected" in out
    status, out, _ = verb("check", path, "--json")
    document = json.loads(out)
    assert status == document["status"] == 1 and len(document["rules"]) == len(static_rules())
    sample.image.ram.write(sample.image.root, b"GARBAGE!")
    status, out, _ = verb("check", write(tmp_path, sample))
    assert status == 1 and "FAILED  KHR-I001" in out


def test_no_handover(verb: Verb, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(1 << 20))
    for name in ("inspect", "check"):
        status, _, err = verb(name, path)
        assert status == 2 and "no KHO root" in err and len(err.splitlines()) == 1
    status, out, _ = verb("inspect", path)
    for place in ("setup_data", "boot_params", "/chosen", "page starts", "1 MiB"):
        assert place in out, place
    for need in ("CONFIG_KEXEC_HANDOVER", "kho=on", "finalize"):
        assert need in out, need
    status, out, _ = verb("inspect", path, "--json")
    assert any("setup_data" in line for line in json.loads(out)["looked"])
    path.write_bytes(b"\x7fELF")
    status, _, err = verb("check", path)
    assert status == 2 and str(path) in err
    assert verb("check", tmp_path / "absent")[0] == 2
    assert verb("inspect", path, "--machine", "toaster")[0] == 2


def test_an_unknown_version_is_shown(verb: Verb, tmp_path: Path) -> None:
    sample = Sample()
    sample.changes["compatible"] = "kho-v99"
    sample.finish()
    path = tmp_path / "image"
    write_raw(path, sample.image.ram, {})
    low = sample.image.ram.regions[0].size
    status, out, _ = verb("inspect", path, "--fdt", hex(low))
    assert (
        status == 2 and "compatible 'kho-v99'" in out and "'preserved-data' is probably" not in out
    )
    status, out, _ = verb("inspect", path, "--fdt", hex(low), "--dts")
    assert 'compatible = "kho-v99";' in out


def test_explain(verb: Verb) -> None:
    for id in RULES:
        status, out, _ = verb("explain", id.lower())
        assert status == 0 and id in out
        assert ("bug " in out) is bool(RULES[id].bugs)
    assert len(verb("explain")[1].splitlines()) == len(RULES)
    status, _, err = verb("explain", "KHR-I999")
    assert status == 2 and "unknown rule" in err


@pytest.mark.parametrize("words", [("inspect",), ("check",), ("check", "--fdt", "0x1000")])
def test_json_is_one_document_whatever_comes(
    verb: Verb, tmp_path: Path, words: tuple[str, ...]
) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(1 << 20))
    for dump in (path, tmp_path / "absent"):
        status, out, err = verb(*words, dump, "--json")
        document = json.loads(out)
        assert (status, document["schema"], document["status"]) in ((2, 1, 2), (1, 1, 1))
        assert status == 1 or document["error"] in err


def test_a_machine_of_the_environment_is_that_of_runs(
    verb: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, Sample().finish())
    for machine in ("virt", "all", "q35,virt", "q53"):
        monkeypatch.setenv("KHORIG_MACHINE", machine)
        status, out, _ = verb("check", path)
        assert status == 0 and "0 failed" in out, machine
