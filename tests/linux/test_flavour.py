# SPDX-License-Identifier: BSD-3-Clause
"""Peers with more Kconfig symbols: their names, what a symbol needs, and what a tree says of one
that it does not take."""

from __future__ import annotations

from pathlib import Path

import pytest

from khorig.cli import exit_codes
from khorig.cli.main import main
from khorig.linux.build import Builder
from khorig.linux.flavour import already_so, needs_of, split_flavour, unknown, why_not
from khorig.linux.kconfig_option import KconfigOption
from khorig.linux.peer import Peer, find_peer, write_peer
from khorig.linux.source import OwnSource
from khorig.vm.errors import InfraError

KASAN = KconfigOption("KASAN", "y")
NUMA = KconfigOption("NUMA", "y")
NO_FOO = KconfigOption("FOO", "n")
FIVE = KconfigOption("X86_5LEVEL", "y")


@pytest.fixture(name="tree")
def tree_fixture(tmp_path: Path) -> Path:
    """Kconfig files as Linux has them."""
    tree = tmp_path / "tree"
    files = {
        "Kconfig": 'source "lib/Kconfig.kasan"\n',
        "lib/Kconfig.kasan": (
            "menuconfig KASAN\n\tbool\n\tdepends on A && \\\n\t\t   !B\n\tdepends on C\n"
            "\thelp\n\t  It depends on taste.\n\nconfig OTHER\n\tdepends on D\n"
        ),
        "arch/Kconfig": "config COMMON\n\tdepends on E\n",
        "arch/x86/Kconfig": "config NUMA\n\tdepends on SMP\n",
        "arch/arm64/Kconfig": "config ARM64_64K_PAGES\n\tbool\n",
        "arch/mips/Kconfig": "config NUMA\n\tdepends on MIPS\n",
        "scripts/kconfig/tests/Kconfig": "config FOO\n",
    }
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(content)
    return tree


@pytest.mark.parametrize(
    ("name", "peer", "settings"),
    [
        ("linux-7.3", "linux-7.3", []),
        ("linux-7.3@KASAN", "linux-7.3", ["CONFIG_KASAN=y"]),
        ("linux-7.3@CONFIG_A@B=4@C=n", "linux-7.3",
         ["CONFIG_A=y", "CONFIG_B=4", "# CONFIG_C is not set"]),
    ],
)  # fmt: skip
def test_names(name: str, peer: str, settings: list[str]) -> None:
    found, options = split_flavour(name)
    assert (found, [option.line for option in options]) == (peer, settings)


@pytest.mark.parametrize("name", ["linux-7.3@", "linux-7.3@K-N", "linux-7.3@A@8-more-0123ab"])
def test_what_is_no_symbol(name: str) -> None:
    with pytest.raises(ValueError, match="is no symbol"):
        split_flavour(name)


def test_the_order_of_symbols_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "khorig/linux/peers" / f"linux-7.3@A@B-x86_64-{'0' * 16}"
    folder.mkdir(parents=True)
    peer = Peer("x86_64", "linux-7.3@A@B=4", "7.3.4", folder)
    peer.image.write_text("")
    write_peer(peer)
    for name in ("linux-7.3@A@B=4", "linux-7.3@B=4@A", "linux-7.3@B=4@A:0000"):
        assert find_peer("x86_64", name) == peer
    for name in ("linux-7.3@A", "linux-7.3@A@B=4@C", "linux-7.2@A@B=4"):
        with pytest.raises(InfraError, match="is not built"):
            find_peer("x86_64", name)


def test_what_symbols_need() -> None:
    assert needs_of([NUMA, KconfigOption("KASAN", "n")]) == []
    assert "# CONFIG_SLUB_TINY is not set" in needs_of([KASAN])
    debug = KconfigOption("DEBUG_PAGEALLOC", "y")
    assert needs_of([debug]) == ["CONFIG_DEBUG_PAGEALLOC_ENABLE_DEFAULT=y"]


def test_what_a_tree_says(tree: Path) -> None:
    assert why_not(KASAN, "arm64", tree) == [
        "KASAN: depends on A && !B (lib/Kconfig.kasan)",
        "KASAN: depends on C (lib/Kconfig.kasan)",
    ]
    assert why_not(NUMA, "x86_64", tree) == ["NUMA: depends on SMP (arch/x86/Kconfig)"]
    assert why_not(KconfigOption("COMMON", "y"), "arm64", tree) != []
    assert why_not(KconfigOption("ARM64_64K_PAGES", "y"), "arm64", tree) == []
    assert unknown(NUMA, "arm64", tree) == "NUMA: no such symbol for arm64 in this tree"
    assert unknown(NO_FOO, "x86_64", tree)
    assert "-cpu max,+la57" in unknown(FIVE, "x86_64", tree)
    assert not why_not(NO_FOO, "x86_64", tree.parent), "that is no tree"


def test_what_the_base_has() -> None:
    config = "CONFIG_NUMA=y\n# CONFIG_KASAN is not set\n"
    assert already_so([NUMA, KASAN, NO_FOO], config) == [NUMA, NO_FOO]


_MAKEFILE = """\
tinyconfig:
\techo 'CONFIG_64BIT=y' > $(O)/.config
olddefconfig:
\tsed -i '/KASAN\\|FOO\\|5LEVEL/d' $(O)/.config
bzImage:
\texit 1
"""
_MERGE = '#!/bin/sh\nout="$3"; shift 3\ncat "$@" > "$out/merged" && mv "$out/merged" "$out/.config"'


@pytest.mark.parametrize(
    ("settings", "said", "evidence"),
    [
        ([NUMA], "linux-tree@NUMA for x86_64 is linux-tree", "CONFIG_NUMA=y"),
        ([NUMA], "linux-tree@NUMA for x86_64 is linux-tree", "fix: use linux-tree"),
        ([NO_FOO], "no such option", "FOO: no such symbol for x86_64 in this tree"),
        ([FIVE, NUMA], "options not applied", unknown.__name__),
        ([KASAN], "options not applied", "KASAN: depends on C (lib/Kconfig.kasan)"),
    ],
)
def test_a_peer_is_never_the_base_under_another_name(
    settings: list[KconfigOption],
    said: str,
    evidence: str,
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("khorig.linux.build.missing_packages", lambda: [])
    (tree / "kernel/liveupdate").mkdir(parents=True)
    (tree / "Makefile").write_text(_MAKEFILE)
    merge = tree / "scripts/kconfig/merge_config.sh"
    merge.write_text(_MERGE)
    merge.chmod(0o755)
    lines: list[str] = []
    with pytest.raises(InfraError, match=said) as caught:
        Builder(OwnSource(tree), "x86_64", 1, lines.append, settings).build()
    if evidence == unknown.__name__:
        evidence = unknown(FIVE, "x86_64", tree)
        assert any("CONFIG_NUMA=y: already so in linux-tree" in line for line in lines)
    assert evidence in caught.value.evidence


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["linux-7.9@KASAN"], "unknown peer 'linux-7.9'"),
        (["linux-7.3@K-N"], "'K-N' is no symbol"),
        (["linux-stock@KASAN"], "linux-stock is as Debian has built it"),
        (["linux-7.3@KASAN", "--config", "A=y"], "PEER excludes"),
        (["linux-7.3", "--version", "7.3"], "PEER excludes"),
    ],
)
def test_names_on_the_command_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main(["linux", "build", *words])
    assert done.value.code == exit_codes.USAGE
    assert said in capsys.readouterr().err
