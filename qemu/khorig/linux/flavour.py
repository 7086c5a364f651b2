# SPDX-License-Identifier: BSD-3-Clause
"""Flavours of a peer: "linux-7.3@KASAN" is linux-7.3 with one more Kconfig symbol."""

from __future__ import annotations

import functools
import re
import tomllib
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from khorig.linux.kconfig_option import KconfigOption, parse_setting, unmet
from khorig.mem.untrusted import text, texts

_TABLE = Path(__file__).parent / "config" / "flavours.toml"
_FOLDER = {"x86_64": "x86"}  # below arch/
_MOST = 6  # lines of a symbol's dependencies in a message
_INDENTED = re.compile(r"\s+(depends on .+|visible if .+)")


def split_flavour(name: str) -> tuple[str, tuple[KconfigOption, ...]]:
    """The peer without its symbols, and those. Raises ValueError with what is no symbol."""
    peer, *words = name.split("@")
    settings = []
    for word in words:
        setting = parse_setting(word if "=" in word else f"{word}=y")
        if setting is None:
            raise ValueError(f"'{word}' is no symbol (expected e.g. KASAN, NR_CPUS=4)")
        settings.append(setting)
    return peer, tuple(settings)


@functools.cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    with _TABLE.open("rb") as source:
        table: Mapping[str, Mapping[str, Any]] = tomllib.load(source)
    return table


def needs_of(settings: Sequence[KconfigOption]) -> list[str]:
    """Lines of .config without which these settings do not hold or do nothing."""
    wanted = (_table().get(s.symbol, {}) for s in settings if s.value != "n")
    return [line for entry in wanted for line in texts(entry.get("needs", []))]


def already_so(settings: Sequence[KconfigOption], config: str) -> list[KconfigOption]:
    """The settings that .config has without them."""
    return [setting for setting in settings if not unmet([setting.line], config)]


def unknown(setting: KconfigOption, arch: str, tree: Path) -> str:
    """That a tree has no such symbol, in words; empty if it has, or has no Kconfig."""
    if not (tree / "Kconfig").is_file() or any(
        True for _ in _declarations(setting.symbol, arch, tree)
    ):
        return ""
    gone = text(_table().get(setting.symbol, {}).get("gone", ""))
    return f"{setting.symbol}: no such symbol for {arch} in this tree" + (
        f": {gone}" if gone else ""
    )


def why_not(setting: KconfigOption, arch: str, tree: Path) -> list[str]:
    """What a tree says of a symbol that could not be set: that there is none, or what it depends
    on. Empty if the tree has no Kconfig."""
    if gone := unknown(setting, arch, tree):
        return [gone]
    depends = [line for found in _declarations(setting.symbol, arch, tree) for line in found]
    return [f"{setting.symbol}: {line}" for line in depends[:_MOST]]


def _declarations(symbol: str, arch: str, tree: Path) -> Iterator[list[str]]:
    """The dependencies of each declaration of a symbol."""
    declared = re.compile(rf"^\s*(?:menu)?config\s+{re.escape(symbol)}\s*$")
    for path in sorted(tree.rglob("Kconfig*")):
        top, second = (*path.relative_to(tree).parts, "")[:2]
        other = top == "arch" and second not in (_FOLDER.get(arch, arch), path.name)
        if other or top in ("scripts", "Documentation") or not path.is_file():
            continue
        lines = path.read_text(errors="replace").replace("\\\n", " ").splitlines()
        for at, line in enumerate(lines):
            if declared.match(line):
                place = str(path.relative_to(tree))
                yield [f"{' '.join(d.split())} ({place})" for d in _dependencies(lines[at + 1 :])]


def _dependencies(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if line.strip() and not line[0].isspace() or line.strip() == "help":
            return
        if match := _INDENTED.fullmatch(line):
            yield match.group(1)
