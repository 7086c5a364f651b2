# SPDX-License-Identifier: BSD-3-Clause
"""Which runs `khorig bench linux --source` makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import pytest

from khorig.cli import bench_cost, exit_codes
from khorig.cli.main import main
from khorig.guest.chain_run import ChainRun
from khorig.linux.cost import program
from khorig.linux.peer import Peer, cache_directory, write_peer


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ChainRun]:
    """The runs, with nothing in place of them, between peers for x86_64."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for version in ("7.2", "7.3"):
        peer = Peer(
            "x86_64", f"linux-{version}", f"{version}.1",
            cache_directory() / f"peers/{version}-{'0' * 16}",
        )  # fmt: skip
        peer.directory.mkdir(parents=True)
        peer.image.write_bytes(b"")
        peer.symbols.write_bytes(b"")
        write_peer(peer)
    seen: list[ChainRun] = []

    def run(wanted: Sequence[ChainRun], *rest: Any) -> int:
        seen.extend(wanted)
        return 0

    monkeypatch.setattr(bench_cost, "run_session", run)
    monkeypatch.setattr(bench_cost, "why_no_probe", lambda spec, machine: None)
    monkeypatch.setattr(program, "compile_static", lambda *rest: b"\x7fELF")
    return seen


def bench(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "linux", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_each_size_is_a_run_of_each_kernel_to_itself(specs: list[ChainRun]) -> None:
    words = ("--source", "7.3", "--against", "7.2", "--machine", "q35", "--limit", "100")
    assert bench(*words, "--kind", "sessions") == exit_codes.PASS
    kernels = [{name.partition(":")[0] for name in spec.kernels} for spec in specs]
    assert kernels == [{"linux-7.3"}, {"linux-7.2"}] * 3
    sizes = [spec.programs_of(1)[0][1:] for spec in specs[::2]]
    assert sizes == [("preserve", "sessions", size) for size in ("1", "10", "100")]
    assert specs[0].programs_of(2)[0][1:] == ("restore", "sessions", "1")
    assert all(spec.measured and not spec.counted for spec in specs)
    assert all("khorig.luo" not in spec.command_line(1) for spec in specs)


def test_time_may_go_by_instructions(specs: list[ChainRun]) -> None:
    words = ("--source", "7.3", "--limit", "1", "--kind", "files")
    assert bench(*words, "--machine", "q35", "--count") == exit_codes.PASS
    assert bench(*words, "--machine", "microvm") == exit_codes.PASS
    assert [spec.counted for spec in specs] == [True, True]


def test_reserved_areas_are_on_the_command_line(specs: list[ChainRun]) -> None:
    assert bench("--source", "7.3", "--machine", "q35", "--kind", "reserved") == exit_codes.PASS
    assert [spec.command_line(2).count(":cost") for spec in specs] == [1, 3, 10]
    assert not any(spec.programs for spec in specs)


def test_a_machine_without_peers_is_left_out(
    specs: list[ChainRun], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("--source", "7.3", "--limit", "1") == exit_codes.PASS
    assert {spec.machine for spec in specs} == {"q35"}
    assert "virt left out: linux-7.3 is not built for arm64" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, status, says",
    [
        (("--against", "7.2"), 2, "--against needs --source"),
        (("--limit", "10"), 2, "--limit needs --source"),
        (("--count",), 2, "--count needs --source"),
        (("--kind", "files"), 2, "--kind needs --source"),
        (("--source", "7.3", "--rounds", "2"), 2, "--rounds does not go with --source"),
        (("--source", "7.3", "--against", "7.3"), 2, "the same as --source"),
        (("--source", "9.9"), 2, "'9.9' is neither a folder nor a peer"),
        (("--source", "7.3", "--kind", "pages"), 2, "sessions"),
        (("--source", "7.3", "--limit", "0"), 2, "--limit"),
        (("--source", "7.3", "--limit", "100001"), 2, "--limit"),
        (("--source", "7.3", "--ratio", "0.5"), 2, "--ratio"),
        (("--source", "7.3", "--machine", "virt"), 3, "not built for arm64"),
        (("--source", "7.3", "--tamper", "all"), 2, "what is measured has to pass"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    specs: list[ChainRun],
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    status: int,
    says: str,
) -> None:
    assert bench(*words) == status
    assert says in " ".join(capsys.readouterr().err.split())
    assert not specs


def test_without_a_probe_nothing_is_measured(
    specs: list[ChainRun], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_cost, "why_no_probe", lambda spec, machine: "QEMU has no plugins")
    assert bench("--source", "7.3", "--machine", "q35") == exit_codes.INFRA
    assert "nothing counts instructions on q35: QEMU has no plugins" in capsys.readouterr().err
