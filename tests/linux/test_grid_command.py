# SPDX-License-Identifier: BSD-3-Clause
"""Which chains `khorig linux grid` runs, with stand-ins for its builds and its runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import pytest

from khorig.cli import exit_codes, linux_grid
from khorig.cli.main import main
from khorig.guest.chain_run import ChainRun, split_build
from khorig.linux import archive, build, selftests
from khorig.linux.peer import Peer, cache_directory, write_peer
from khorig.rules.finding import Finding, Verdict
from khorig.rules.protocol.definitions import REFUSAL
from khorig.run.judging import Statistics
from khorig.run.refusal import Refusal
from khorig.run.result import RunResult

Chain = tuple[str, ...]


def make_peer(arch: str, name: str) -> Peer:
    """A peer whose image nobody can boot."""
    peer = Peer(arch, name, "7.0.0", cache_directory() / "peers" / f"{name}-{arch}-{'0' * 16}")
    peer.directory.mkdir(parents=True)
    peer.image.write_bytes(b"")
    write_peer(peer)
    return peer


class Builder:
    """In place of khorig.linux.build.Builder."""

    def __init__(self, source: Any, arch: str, jobs: int, report: Any, settings: Any) -> None:
        self._source, self._arch, self._report = source, arch, report

    def build(self) -> Peer:
        self._report(f"building {self._source.name} for {self._arch}")
        return make_peer(self._arch, self._source.name)


class Runs:
    """In place of the session."""

    def __init__(self) -> None:
        self.specs: list[ChainRun] = []
        self.outcome = RunResult(
            ChainRun("x86_64", "q35", kernels=("linux-7.3", "linux-7.2")),
            Verdict.PASS, [], 2, Statistics(), [], 1.0, "", 33,
        )  # fmt: skip
        self.others: list[RunResult] = []

    def __call__(self, specs: Sequence[ChainRun], *rest: Any) -> int:
        self.specs += specs
        status: int = rest[-1]([self.outcome, *self.others])
        return status

    def chains(self, machine: str) -> list[Chain]:
        """The kernels of each run, by their plain names."""
        mine = (spec for spec in self.specs if spec.machine == machine)
        return [tuple(split_build(name)[0] for name in spec.kernels) for spec in mine]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "Builder", Builder)
    monkeypatch.setattr(archive, "build_init", lambda peer: None)
    monkeypatch.setattr(selftests, "build_selftests", lambda *arguments: None)
    for arch in ("x86_64", "arm64"):
        for version in ("7.2", "7.3"):
            make_peer(arch, f"linux-{version}")
    done = Runs()
    monkeypatch.setattr(linux_grid, "run_session", done)
    return done


def grid(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["linux", "grid", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_every_kernel_hands_over_to_every_kernel(runs: Runs) -> None:
    assert grid() == exit_codes.PASS
    new, old, own = "linux-7.3", "linux-7.2", "khorig"
    chains = runs.chains("virt")
    assert chains == runs.chains("q35")
    pairs = [(a, b) for a in (new, old, own) for b in (new, old, own)]
    assert [chain for chain in chains if len(chain) == 2] == pairs
    assert [chain for chain in chains if len(chain) == 4] == [pair * 2 for pair in pairs]
    through = [chain for chain in chains if len(chain) == 3]
    assert through == [(a, own, b) for a in (new, old) for b in (new, old)]
    assert all(":" in name for spec in runs.specs for name in spec.kernels if name != own)


def test_the_tree_is_built_for_the_architectures_of_the_grid(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "mine"
    tree.mkdir()
    assert grid("--source", str(tree), "--against", "7.3", "--machine", "q35") == 0
    out = capsys.readouterr().out
    assert "building linux-mine for x86_64" in out and "arm64" not in out
    assert ("linux-mine", "linux-7.3") in runs.chains("q35")
    assert ("linux-7.3", "linux-mine", "linux-7.3", "linux-mine") in runs.chains("q35")
    assert not runs.chains("virt")


def test_what_is_built_is_said_on_stderr_beside_json(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    assert grid("--source", str(tmp_path / "mine"), "--json") == 0
    out, err = capsys.readouterr()
    assert out == "" and "building linux-mine for arm64" in err


def test_a_built_peer_is_a_source(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    make_peer("x86_64", "linux-7.3@KASAN")
    assert grid("--source", "linux-7.3@KASAN", "--against", "7.2") == 0
    assert ("linux-7.3@KASAN", "khorig", "linux-7.2") in runs.chains("q35")
    assert not runs.chains("virt"), "it is built for one architecture only"
    assert "virt left out: linux-7.3@KASAN is not built for arm64" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["--source", "/nowhere"], 2, "'/nowhere' is neither a folder nor a peer (there are"),
        (["--against", "7.3,8.1"], 2, "'8.1' is neither"),
        (["--against", "khorig"], 2, "khorig is in every grid"),
        (["--linux-append", "5:quiet"], 2, "no chain of the grid has such a kernel there"),
        (["--linux-append", "0:quiet"], 2, "no chain of the grid has such a kernel there"),
        (["--poke", "5:sealed:root"], 2, "the run has generations 1 to 4"),
        (["--poke", "4:sealed:root"], 2, "no chain of the grid stops there"),
        (["--poke", "1:entry:root", "--stops", "sealed"], 2, "the run stops at sealed"),
        (["--tamper", "magic"], 2, "--tamper does not apply"),
    ],
)
def test_what_cannot_be_is_named(
    runs: Runs, capsys: pytest.CaptureFixture[str], words: list[str], status: int, reason: str
) -> None:
    assert grid(*words) == status
    assert reason in capsys.readouterr().err
    assert not runs.specs


def test_a_peer_that_is_missing_comes_with_its_command(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    make_peer("x86_64", "linux-7.3@KASAN")
    assert grid("--against", "linux-7.3@KASAN", "--machine", "virt") == exit_codes.INFRA
    err = capsys.readouterr().err
    assert "linux-7.3@KASAN is not built for arm64" in err and "linux build --version 7.3" in err


def test_the_name_of_a_tree_is_no_other_peer_s(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "7.3").mkdir()
    assert grid("--source", str(tmp_path / "7.3")) == exit_codes.USAGE
    assert "rename the folder" in capsys.readouterr().err


def test_an_option_is_for_the_chains_that_have_its_generation(runs: Runs) -> None:
    words = ("--linux-append", "3:kho=off", "--append", "2:kho_scratch=64M,16M,16M")
    assert grid("--machine", "q35", *words, "--poke", "2:sealed:root") == 0
    by_chain = dict(zip(runs.chains("q35"), runs.specs))
    direct = by_chain["linux-7.3", "linux-7.2"]
    assert (direct.linux_options, direct.extra_options, direct.pokes) == ((), (), ())
    through = by_chain["linux-7.3", "khorig", "linux-7.2"]
    assert through.linux_options == ("3:kho=off",)
    assert through.extra_options == ("2:kho_scratch=64M,16M,16M",)
    assert [str(poke) for poke in through.pokes] == ["2:sealed:root"]
    back = by_chain["khorig", "linux-7.2", "khorig", "linux-7.2"]
    assert (back.linux_options, back.extra_options) == ((), ())
    assert len(back.pokes) == 1


def failed(verdict: Verdict, rule: str = "") -> RunResult:
    finding = Finding(rule, "x", generation=2, verdict=verdict)
    refusals = {2: Refusal("magic", "bad")} if rule == REFUSAL else {}
    spec = ChainRun("x86_64", "q35", kernels=("linux-7.3", "khorig"))
    return RunResult(spec, verdict, [finding], 2, Statistics(), [], 1.0, "", 35, refusals=refusals)


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([failed(Verdict.FAIL, REFUSAL)], exit_codes.PASS),
        ([failed(Verdict.FAIL, "KHR-I080")], exit_codes.FAIL),
        ([failed(Verdict.CRASH)], exit_codes.FAIL),
        ([failed(Verdict.HANG)], exit_codes.FAIL),
        ([failed(Verdict.INFRA)], exit_codes.INFRA),
        ([failed(Verdict.FAIL, REFUSAL), failed(Verdict.HANG)], exit_codes.FAIL),
        ([failed(Verdict.INFRA), failed(Verdict.CRASH)], exit_codes.FAIL),
    ],
)
def test_a_clean_refusal_fails_nothing(runs: Runs, results: list[RunResult], status: int) -> None:
    runs.others = results
    assert grid("--machine", "q35") == status
    runs.outcome = results[0]
    assert grid("--machine", "q35") == status


def test_a_grid_of_which_nothing_ran_is_no_success(runs: Runs) -> None:
    runs.outcome = failed(Verdict.SKIP)
    assert grid("--machine", "q35") == exit_codes.NOTHING_RAN
