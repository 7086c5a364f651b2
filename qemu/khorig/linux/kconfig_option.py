# SPDX-License-Identifier: BSD-3-Clause
"""Kconfig options for a build."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Sequence

_BARE = re.compile(r"[ynm]|-?\d+|0x[0-9a-fA-F]+")  # other values are Kconfig strings


@dataclass(frozen=True, order=True)
class KconfigOption:
    """A Kconfig symbol and its requested value."""

    symbol: str  # "ARM64_16K_PAGES"
    value: str  # "y", "n", a number, or a string without quotes

    @property
    def line(self) -> str:
        """The line in .config."""
        if self.value == "n":
            return f"# CONFIG_{self.symbol} is not set"
        if _BARE.fullmatch(self.value):
            return f"CONFIG_{self.symbol}={self.value}"
        text = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'CONFIG_{self.symbol}="{text}"'

    @property
    def suffix(self) -> str:
        """Suffix of the peer's name; without commas and slashes."""
        if self.value == "y":
            return f"@{self.symbol}"
        return f"@{self.symbol}=" + re.sub(r"[^\w.-]", "_", self.value)


def parse_setting(text: str) -> KconfigOption | None:
    """Parses "NAME=VALUE" or "CONFIG_NAME=VALUE"; None if invalid."""
    match = re.fullmatch(r"(?:CONFIG_)?(\w+)=(.+)", text)
    return KconfigOption(match.group(1), match.group(2)) if match else None


def unmet(wanted: Sequence[str], config: str) -> list[str]:
    """Lines of `wanted` that .config does not have, each with the actual value; later lines of the
    same symbol win. An absent symbol counts as not set."""
    last = {_symbol(line): line for line in wanted if _symbol(line)}
    have = {_symbol(line): line for line in config.splitlines() if _symbol(line)}
    missing = []
    for symbol, line in last.items():
        found = have.get(symbol)
        if found == line or found is None and line.startswith("#"):
            continue
        missing.append(f"{line}: {found or 'unknown symbol or unmet dependency'}")
    return missing


def _symbol(line: str) -> str:
    match = re.fullmatch(r"(CONFIG_\w+)=.*|# (CONFIG_\w+) is not set", line)
    return (match.group(1) or match.group(2)) if match else ""
