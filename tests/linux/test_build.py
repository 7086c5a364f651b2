# SPDX-License-Identifier: BSD-3-Clause
"""`khorig linux build`, with makefiles that build nothing but a file in place of Linux's."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from khorig.cli import exit_codes
from khorig.cli.main import main
from khorig.guest.chain_run import ChainRun
from khorig.linux import build
from khorig.linux.peer import Peer, build_command, find_peer, pinned
from khorig.linux.kconfig_option import KconfigOption, parse_setting, unmet
from khorig.linux.source import OwnSource
from khorig.vm.errors import InfraError

# What the verb calls, as Linux has it: outputs go below O, the configuration is Kconfig's.
_MAKEFILE = """\
IMAGE = $(O)/arch/x86/boot/bzImage
tinyconfig:
	echo 'CONFIG_64BIT=y' > $(O)/.config
olddefconfig:
	sed -i '/NEEDS_MORE/d' $(O)/.config
bzImage: $(IMAGE)
$(IMAGE): kernel/liveupdate/version
	mkdir -p $(@D) $(O)/include/config
	printf '  CC      once\\n'
	cp $< $@
	cp $< $(O)/vmlinux
	cp $< $(O)/include/config/kernel.release
	echo built >> $(O)/built
	sh ./hook
headers:
	mkdir -p $(O)/usr/include
"""
_MERGE = """\
#!/bin/sh
out="$3"; shift 3
cat "$@" > "$out/merged" && mv "$out/merged" "$out/.config"
"""


@pytest.fixture(name="tree")
def tree_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source tree that looks like Linux to the verb, and a cache of its own."""
    if not shutil.which("make"):
        pytest.skip("make is not installed: apt-get install make")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "missing_packages", lambda: [])
    tree = tmp_path / "toy"
    for folder in ("kernel/liveupdate", "scripts/kconfig", "tools/include/nolibc"):
        (tree / folder).mkdir(parents=True)
    (tree / "Makefile").write_text(_MAKEFILE)
    (tree / "hook").write_text("")
    (tree / "kernel/liveupdate/version").write_text("7.3.4-one\n")
    merge = tree / "scripts/kconfig/merge_config.sh"
    merge.write_text(_MERGE)
    merge.chmod(0o755)
    return tree


def built(tree: Path, *settings: KconfigOption) -> Peer:
    """What the verb makes of the tree."""
    return build.Builder(OwnSource(tree), "x86_64", 1, lambda line: None, settings).build()


def runs(tmp_path: Path) -> int:
    """How often a compiler would have run."""
    counts = [path.read_text().count("built") for path in tmp_path.glob("cache/**/built")]
    return sum(counts)


def edit(tree: Path, text: str) -> None:
    (tree / "kernel/liveupdate/version").write_text(text + "\n")


def test_a_tree_is_built_once(tree: Path, tmp_path: Path) -> None:
    peer = built(tree)
    assert (peer.name, peer.release) == ("linux-toy", "7.3.4-one")
    assert peer.image.read_text() == "7.3.4-one\n"
    assert find_peer("x86_64", "linux-toy") == peer
    for path in tree.rglob("*"):
        path.touch()  # what decides is content
    assert built(tree) == peer
    assert runs(tmp_path) == 1


def test_an_edited_tree_is_built_where_its_objects_are(tree: Path, tmp_path: Path) -> None:
    first = built(tree)
    edit(tree, "7.3.4-two")
    second = built(tree)
    assert second.release == "7.3.4-two"
    assert find_peer("x86_64", "linux-toy") == second
    assert len(list(tmp_path.glob("cache/khorig/linux/objects/*"))) == 1
    edit(tree, "7.3.4-one")
    assert built(tree) == first, "it was built before"
    assert find_peer("x86_64", "linux-toy") == first, "and is what the name stands for again"
    assert runs(tmp_path) == 2


def test_a_name_with_its_build_stands_for_that_build_only(tree: Path) -> None:
    first = built(tree)
    edit(tree, "7.3.4-two")
    second = built(tree)
    assert first.pinned.startswith("linux-toy:") and first.pinned != second.pinned
    assert find_peer("x86_64", first.pinned) == first
    assert find_peer("x86_64", f"linux-toy:{first.build}") == first
    assert pinned("x86_64", "linux-toy") == second.pinned
    assert [pinned("x86_64", name) for name in ("khorig", "/x/linux-1:abcd")] == [
        "khorig", "/x/linux-1:abcd",
    ]  # fmt: skip
    shutil.rmtree(first.directory)
    with pytest.raises(InfraError, match="is not built for x86_64") as caught:
        find_peer("x86_64", first.pinned)
    assert f"there are {second.pinned}" in caught.value.evidence
    assert any("linux build --source FOLDER --arch x86_64" in line
               for line in caught.value.evidence)  # fmt: skip
    assert pinned("x86_64", first.pinned) == first.pinned, "the run says that it is gone"


def test_a_tree_that_changes_under_the_compiler_is_not_kept(tree: Path) -> None:
    (tree / "hook").write_text("echo 7.3.4-late > kernel/liveupdate/version\n")
    with pytest.raises(InfraError, match="changed during the build"):
        built(tree)
    with pytest.raises(InfraError, match="is not built"):
        find_peer("x86_64", "linux-toy")
    assert built(tree).release == "7.3.4-late"


def test_settings_come_last_and_into_the_name(tree: Path) -> None:
    plain = built(tree)
    peer = built(tree, KconfigOption("NUMA", "n"), KconfigOption("CMDLINE", "a b"))
    assert peer.name == "linux-toy@CMDLINE=a_b@NUMA=n"
    config = (peer.directory / "config").read_text().splitlines()
    assert config.index("# CONFIG_NUMA is not set") > config.index("CONFIG_NUMA=y")
    assert 'CONFIG_CMDLINE="a b"' in config
    assert find_peer("x86_64", "linux-toy") == plain


_NINE = [
    KconfigOption(name, "y")
    for name in ("DEFERRED_STRUCT_PAGE_INIT", "HUGETLBFS", "KASAN", "KFENCE", "DEBUG_PAGEALLOC",
                 "NUMA", "X86_5LEVEL", "MEMORY_FAILURE", "HWPOISON_INJECT")
]  # fmt: skip


def test_many_settings_have_a_short_name_in_lines_and_folders(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = built(tree, *_NINE), built(tree, *_NINE[:-1], KconfigOption("DMA_CMA", "y"))
    assert one.short.startswith("linux-toy@DEBUG_PAGEALLOC@8-more-") and one.short != other.short
    assert one.directory.name.startswith(f"{one.short}-x86_64-")
    for peer in (one, other):
        assert find_peer("x86_64", peer.name) == find_peer("x86_64", peer.short) == peer
        assert pinned("x86_64", peer.short) == pinned("x86_64", peer.listed) == peer.pinned
    with pytest.raises(SystemExit):
        main(["linux", "list"])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"{one.listed} 7.3.4-one") for line in lines)
    assert any("HWPOISON_INJECT" in line and line.startswith("  ") for line in lines)
    spec = ChainRun("x86_64", "q35", kernels=(one.pinned, "khorig", "linux-7.3@DMA_CMA"))
    assert spec.what == f"{one.short}+khorig+linux-7.3@DMA_CMA"
    assert one.name in " ".join(spec.rerun_words), "the name that it can be built by again"


def test_a_long_chain_has_a_short_name_in_lines_and_folders() -> None:
    short = ChainRun("x86_64", "q35", kernels=("linux-7.3",) * 6)
    assert short.what == "+".join(["linux-7.3"] * 6)
    long = [
        ChainRun(
            "x86_64", "q35", kernels=("khorig", *("linux-7.3",) * 40, *more, "/boot/" + "x" * 250)
        )
        for more in ((), ("khorig",))
    ]
    assert len({spec.what for spec in long}) == 2
    assert all(re.fullmatch(r"khorig\+4[01]-more-[0-9a-f]{6}\+x{40}", spec.what) for spec in long)


def test_a_long_setting_is_cut(tree: Path) -> None:
    peer = built(tree, KconfigOption("CMDLINE", "x" * 300))
    assert peer.short.startswith("linux-toy@CMDLINE=xxxxxxxxxxxx@0-more-")
    assert find_peer("x86_64", peer.short) == peer


def test_a_setting_that_does_not_hold_is_named(tree: Path) -> None:
    with pytest.raises(InfraError, match="options not applied") as caught:
        built(tree, KconfigOption("NEEDS_MORE", "y"))
    [detail] = caught.value.evidence
    assert detail.startswith("CONFIG_NEEDS_MORE=y: unknown symbol")


@pytest.mark.parametrize("trace", [".config", "include/config/x", "arch/x86/include/generated/x"])
def test_a_tree_that_was_built_in_is_refused(tree: Path, trace: str) -> None:
    (tree / trace).parent.mkdir(parents=True, exist_ok=True)
    (tree / trace).write_text("")
    with pytest.raises(InfraError, match="tree is not clean") as caught:
        built(tree)
    assert f"make -C {tree} mrproper" in caught.value.evidence[0]


def test_a_failure_ends_with_the_compilers_words(tree: Path) -> None:
    (tree / "hook").write_text("echo 'kho.c:7: error: expected ;'; exit 1\n")
    with pytest.raises(InfraError, match="log: .*build.log") as caught:
        built(tree)
    assert "kho.c:7: error: expected ;" in caught.value.evidence
    log = Path(caught.value.what.partition("log: ")[2])
    (tree / "hook").write_text("")
    built(tree)
    assert "error" not in log.read_text()


@pytest.mark.parametrize(
    ("text", "line", "suffix"),
    [
        ("CMA=y", "CONFIG_CMA=y", "@CMA"),
        ("CONFIG_CMA=n", "# CONFIG_CMA is not set", "@CMA=n"),
        ("NR_CPUS=4", "CONFIG_NR_CPUS=4", "@NR_CPUS=4"),
        ('LOCALVERSION=-a,"b', 'CONFIG_LOCALVERSION="-a,\\"b"', "@LOCALVERSION=-a__b"),
    ],
)
def test_settings(text: str, line: str, suffix: str) -> None:
    setting = parse_setting(text)
    assert setting and (setting.line, setting.suffix) == (line, suffix)


def test_what_a_configuration_lacks() -> None:
    config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=3\n"
    wanted = ["CONFIG_B=y", "CONFIG_A=y", "CONFIG_C=4"]
    wanted += ["# CONFIG_B is not set", "# CONFIG_D is not set"]
    assert unmet(wanted, config) == ["CONFIG_C=4: CONFIG_C=3"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("linux-7.3", "--version 7.3 --arch arm64"),
        ("linux-7.3@A@B=4", "--version 7.3 --arch arm64 --config A=y --config B=4"),
        ("linux-stock", "--version stock --arch arm64"),
        ("linux-mine@A", "--source FOLDER --arch arm64 --config A=y"),
        ("linux-7.3@A@8-more-0123ab", "--version 7.3 --arch arm64 --config NAME=VALUE..."),
    ],
)
def test_the_command_that_builds_a_peer(name: str, options: str) -> None:
    assert build_command("arm64", name) == f"scripts/khorig linux build {options}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--config", "CMA"], "invalid setting 'CMA'"),
        (["--version", "stock", "--config", "CMA=y"], "--config does not apply to version stock"),
        (["--version", "7.3", "--source", "."], "--version and --source exclude each other"),
    ],
)
def test_options_that_contradict(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main(["linux", "build", *options])
    assert done.value.code == exit_codes.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "folder, name",
    [
        ("toy", "linux-toy"),
        ("linux", "linux-linux"),
        ("linux-next", "linux-next"),
        ("linux-7.3", "linux-linux-7.3"),  # not that of Debian
        ("linux-stock", "linux-linux-stock"),
        ("a,b@c", "linux-a_b_c"),
    ],
)
def test_a_tree_is_named_after_its_folder(tmp_path: Path, folder: str, name: str) -> None:
    assert OwnSource(tmp_path / folder).name == name
