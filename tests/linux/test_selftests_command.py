# SPDX-License-Identifier: BSD-3-Clause
"""Which programs `khorig linux selftests` runs, and which selftests a tree has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Sequence

import pytest

from khorig.cli import exit_codes, linux_selftests
from khorig.cli.main import main
from khorig.guest.chain_run import ChainRun
from khorig.linux import selftests
from khorig.linux.peer import Peer, cache_directory, find_peer, write_peer
from khorig.linux.selftests import build_selftests, selftests_of
from khorig.vm.errors import InfraError

MAKEFILE = """
TEST_GEN_PROGS += liveupdate
TEST_GEN_PROGS_EXTENDED += luo_one \\
    luo_broken not_there
TEST_FILES += do_kexec.sh
"""


def compiled(peer: Peer, sources: Sequence[Path], *rest: Any) -> bytes:
    if "broken" in sources[0].name:
        raise InfraError("luo_broken.c: clang-19 exited with status 1")
    return sources[0].name.encode()


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """A peer for x86_64 with the selftests of a tree."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(selftests, "compile_static", compiled)
    folder = tmp_path / "tree/tools/testing/selftests/liveupdate"
    folder.mkdir(parents=True)
    (folder.parent / "kho").mkdir()
    (folder / "Makefile").write_text(MAKEFILE)
    for name in ("liveupdate", "luo_one", "luo_broken"):
        (folder / f"{name}.c").write_text("")
    made = Peer("x86_64", "linux-7.3", "7.3.4", cache_directory() / f"peers/x-{'0' * 16}")
    made.directory.mkdir(parents=True)
    made.image.write_bytes(b"")
    write_peer(made)
    build_selftests(made, lambda: tmp_path / "tree", lambda line: None)
    return made


@pytest.fixture
def specs(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> list[ChainRun]:
    """The runs, with nothing in place of them."""
    seen: list[ChainRun] = []

    def run(wanted: Sequence[ChainRun], *rest: Any) -> int:
        seen.extend(wanted)
        return 0

    monkeypatch.setattr(linux_selftests, "run_session", run)
    return seen


def command(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["linux", "selftests", "--machine", "q35", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_tree_has_what_its_makefile_lists(peer: Peer) -> None:
    found = selftests_of(peer)
    assert (found.once, found.staged, found.has_kho) == (("liveupdate",), ("luo_one",), True)
    assert found.not_built == ("luo_broken: luo_broken.c: clang-19 exited with status 1",)


def test_they_are_built_once(peer: Peer) -> None:
    build_selftests(peer, lambda: pytest.fail("the tree is not needed"), lambda line: None)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"recipe": 1}', '{"once": ["../x"]}'])
def test_a_damaged_list_is_said_with_the_command_that_builds_it(peer: Peer, text: str) -> None:
    (peer.selftests / "selftests.json").write_text(text)
    with pytest.raises(InfraError, match="built without its selftests") as error:
        selftests_of(find_peer("x86_64", "linux-7.3"))
    assert "linux build --version 7.3 --arch x86_64" in error.value.evidence[0]


def test_a_program_that_is_gone_is_not_run(peer: Peer) -> None:
    assert json.loads((peer.selftests / "selftests.json").read_text())["staged"] == ["luo_one"]
    (peer.selftests / "luo_one").unlink()
    with pytest.raises(InfraError, match="built without its selftests"):
        selftests_of(peer)


def test_stages_are_at_both_ends_of_the_chain(specs: list[ChainRun], peer: Peer) -> None:
    assert command("--chain", "linux-7.3,khorig,linux-7.3") == exit_codes.PASS
    folder = peer.selftests
    assert [spec.programs for spec in specs] == [
        (),
        (f"1:{folder}/liveupdate",),
        (f"1:{folder}/luo_one -s 1", f"3:{folder}/luo_one -s 2"),
    ]


def test_a_tree_is_built_and_hands_over_to_itself(
    specs: list[ChainRun], peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()

    def build(sources: Sequence[Any], archs: Sequence[str], *rest: Any) -> None:
        assert (sources[0].name, tuple(archs)) == ("linux-mine", ("x86_64",))
        mine = Peer("x86_64", "linux-mine", "7.4.0", cache_directory() / f"peers/m-{'0' * 16}")
        mine.directory.mkdir(parents=True, exist_ok=True)
        mine.image.write_bytes(b"")
        write_peer(mine)
        build_selftests(mine, lambda: tmp_path / "tree", lambda line: None)

    monkeypatch.setattr(linux_selftests, "build_peers", build)
    tree = ("--source", str(tmp_path / "mine"))
    assert command(*tree, "--test", "luo_one") == exit_codes.PASS
    assert command(*tree, "--test", "kho", "--chain", "linux,linux-7.3") == exit_codes.PASS
    kernels = [tuple(name.partition(":")[0] for name in spec.kernels) for spec in specs]
    assert kernels == [("linux-mine", "linux-mine"), ("linux-mine", "linux-7.3")]


def test_one_test_can_be_chosen(specs: list[ChainRun]) -> None:
    assert command("--test", "kho") == exit_codes.PASS
    assert [spec.programs for spec in specs] == [()]


@pytest.mark.parametrize(
    "words, says",
    [
        (("--test", "luo_broken"), "linux-7.3 has kho, liveupdate, luo_one"),
        (("--chain", "linux-7.3"), "needs a Linux at each end"),
        (("--chain", "khorig,linux-7.3"), "needs a Linux at each end"),
        (("--chain", "linux-7.3,khorig"), "needs a Linux at each end"),
        (("--chain", "linux-7.3,linux-7.3,linux-7.3"), "a Linux in between drops the sessions"),
        (("--chain", "linux,linux-7.3"), "'linux' in it is the tree of --source"),
        (("--chain", "/boot/bzImage,linux-7.3"), "an image has no selftests"),
        (("--tamper", "all"), "a kernel that refuses runs no selftest"),
    ],
)
def test_what_cannot_be_run_is_refused(
    specs: list[ChainRun], capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert command(*words) == exit_codes.USAGE
    assert says in " ".join(capsys.readouterr().err.split())
    assert not specs


def test_a_peer_that_is_not_built_is_said(
    specs: list[ChainRun], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--chain", "linux-7.2,linux-7.3") == exit_codes.INFRA
    assert "linux-7.2 is not built for x86_64" in capsys.readouterr().err
