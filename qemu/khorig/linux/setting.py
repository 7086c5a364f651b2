# SPDX-License-Identifier: BSD-3-Clause
"""Options of a Linux's configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Sequence

_BARE = re.compile(r"[ynm]|-?\d+|0x[0-9a-fA-F]+")  # any other value is a string of Kconfig


@dataclass(frozen=True, order=True)
class Setting:
    """What a user wants one symbol of Kconfig to be."""

    symbol: str  # "ARM64_16K_PAGES"
    value: str  # "y", "n", a number, or a text without its quotes

    @property
    def line(self) -> str:
        """As it stands in a .config."""
        if self.value == "n":
            return f"# CONFIG_{self.symbol} is not set"
        if _BARE.fullmatch(self.value):
            return f"CONFIG_{self.symbol}={self.value}"
        text = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'CONFIG_{self.symbol}="{text}"'

    @property
    def suffix(self) -> str:
        """What it adds to the name of a peer, which has neither commas nor slashes."""
        if self.value == "y":
            return f"@{self.symbol}"
        return f"@{self.symbol}=" + re.sub(r"[^\w.-]", "_", self.value)


def parse_setting(text: str) -> Setting | None:
    """From "NAME=VALUE" or "CONFIG_NAME=VALUE"; None when it is neither."""
    match = re.fullmatch(r"(?:CONFIG_)?(\w+)=(.+)", text)
    return Setting(match.group(1), match.group(2)) if match else None


def unmet(wanted: Sequence[str], config: str) -> list[str]:
    """Those lines of `wanted` that a .config does not have, though no later line is about the same
    symbol, each with what it has instead. A symbol that is not there is as good as one not set."""
    last = {_symbol(line): line for line in wanted if _symbol(line)}
    have = {_symbol(line): line for line in config.splitlines() if _symbol(line)}
    missing = []
    for symbol, line in last.items():
        found = have.get(symbol)
        if found == line or found is None and line.startswith("#"):
            continue
        missing.append(f"{line}: {found or 'no such symbol, or something that it needs is off'}")
    return missing


def _symbol(line: str) -> str:
    match = re.fullmatch(r"(CONFIG_\w+)=.*|# (CONFIG_\w+) is not set", line)
    return (match.group(1) or match.group(2)) if match else ""
