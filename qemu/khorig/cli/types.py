# SPDX-License-Identifier: BSD-3-Clause
"""Types of option values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Sequence

import click
from click.shell_completion import CompletionItem

from khorig.cli.suggest import unknown
from khorig.guest.spec import PAGE_SIZES
from khorig.guest.poke import FORM, Poke, parse_poke
from khorig.linux.kconfig_option import KconfigOption, parse_setting

_NONE = "none"  # of the stops
_RAM_UNIT = 1 << 16  # bytes: the largest page of all machines
_LONGEST_S = 1e7  # some months


class NameOf(click.ParamType):
    """One or more of a set of names, comma-separated."""

    name = "name"

    def __init__(self, kind: str, known: Callable[[], Sequence[str]]) -> None:
        """`known` is called when a name has to be checked or completed."""
        self._kind = kind
        self._known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        names = tuple(str(value).split(","))
        for name in names:
            if name not in self._known():
                raise unknown(self._kind, name, self._known())
        return names

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self._kind.upper()

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that what is typed after the last comma can become."""
        before, comma, part = incomplete.rpartition(",")
        taken = before.split(",")
        fitting = (name for name in self._known() if name.startswith(part) and name not in taken)
        return [CompletionItem(f"{before}{comma}{name}") for name in fitting]


class PageSizes(NameOf):
    """The page size of the first kernel and, after a comma, that of all later ones."""

    def __init__(self) -> None:
        super().__init__("page size", lambda: PAGE_SIZES)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        sizes = super().convert(str(value).upper(), param, ctx)
        if len(sizes) > 2:
            self.fail(f"'{value}': that of the first kernel, that of all later ones", param, ctx)
        return sizes if len(set(sizes)) > 1 else sizes[:1]

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "SIZE[,SIZE]"


class StopsOf(NameOf):
    """Comma-separated stops, or "none" for an empty tuple."""

    def __init__(self, stops: Sequence[str]) -> None:
        """`stops` are those that guests have."""
        super().__init__("stop", lambda: (*stops, _NONE))

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        stops = super().convert(value, param, ctx)
        if _NONE not in stops:
            return stops
        if len(stops) > 1:
            self.fail(f"'{value}': 'none' excludes other stops", param, ctx)
        return ()


class OutFolder(click.Path):
    """A folder for artifacts, created on demand."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("empty path", param, ctx)
        return super().convert(value, param, ctx)


def _bytes_of(text: str) -> int | None:
    match = re.fullmatch(r"([0-9]{1,12})([KMGkmg]?)(?:i?[bB])?", text)
    if match is None:
        return None
    shift = {"k": 10, "m": 20, "g": 30, "": 20}[match.group(2).lower()]
    return int(match.group(1)) << shift


class Size(click.ParamType):
    """Bytes: "64M", "1G", "65536K"; a plain number is MiB, as in QEMU."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        size = _bytes_of(str(value))
        if not size:
            self.fail(f"invalid size '{value}' (expected e.g. 256M, 1G)", param, ctx)
        if size % _RAM_UNIT:
            self.fail(f"size '{value}' is not a multiple of {_RAM_UNIT >> 10}K", param, ctx)
        return size


class Sizes(click.ParamType):
    """Bytes of each of several: "100M,156M"; 0 is a size."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        sizes = []
        for word in str(value).split(","):
            if (size := _bytes_of(word)) is None:
                self.fail(f"invalid size '{word}' (expected e.g. 100M,156M)", param, ctx)
            sizes.append(size)
        return tuple(sizes)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "SIZE,..."


class Seconds(click.FloatRange):
    """A finite time."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(0, _LONGEST_S, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value).strip().lower().lstrip("+-") == "nan":  # lies in every range
            self.fail(f"invalid time '{value}' (expected seconds, e.g. 60)", param, ctx)
        return super().convert(value, param, ctx)


class Seed(click.ParamType):
    """A 64-bit number, decimal or 0x, or "random"."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "random":
            import secrets  # takes longer to import than most of what is in use

            return secrets.randbits(32)
        try:
            seed = value if isinstance(value, int) else int(str(value), 0)
        except ValueError:
            self.fail(f"'{value}' is not a number", param, ctx)
        if not 0 <= seed < 1 << 64:
            self.fail(f"seed '{value}' does not fit in 64 bits", param, ctx)
        return seed


class StopPlace(NameOf):
    """A stop of a generation: "entry:2"."""

    def __init__(self, stops: Sequence[str]) -> None:
        """`stops` are those that guests have."""
        super().__init__("stop", lambda: stops)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name, colon, generation = str(value).partition(":")
        if not colon or not generation.isascii() or not generation.isdigit():
            self.fail(
                f"invalid place '{value}' (expected STOP:GENERATION, e.g. entry:2)", param, ctx
            )
        [stop] = super().convert(name, param, ctx)
        return stop, int(generation[:9])

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "STOP:GENERATION"


class Number(click.ParamType):
    """A number, decimal or with 0x."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(str(value), 0)
        except ValueError:
            self.fail(f"'{value}' is not a number", param, ctx)


class GdbPort(click.IntRange):
    """A TCP port."""

    name = "port"

    def __init__(self) -> None:
        super().__init__(1, 65535)


class ConfigSetting(click.ParamType):
    """One symbol of a Linux's configuration: "NAME=y", with or without CONFIG_ in front."""

    name = "setting"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> KconfigOption:
        setting = value if isinstance(value, KconfigOption) else parse_setting(str(value))
        if setting is None:
            self.fail(f"invalid setting '{value}' (expected e.g. CMA=y, NR_CPUS=4)", param, ctx)
        return setting


class PokeOf(click.ParamType):
    """A write at a stop: "2:sealed:khorig/stores/db0+0x10"."""

    name = "poke"

    def __init__(self, stops: Sequence[str]) -> None:
        """`stops` are those that guests have."""
        self._stops = stops

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Poke:
        poke = value if isinstance(value, Poke) else parse_poke(str(value))
        if poke is None:
            self.fail(
                f"invalid poke '{value}' (expected {FORM}, e.g. "
                "2:sealed:khorig/stores/blocks+0x10, 1:sealed:0x8000000)",
                param,
                ctx,
            )
        if poke.stop not in self._stops:
            raise unknown("stop", poke.stop, self._stops)
        return poke

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return FORM


def check_pokes(pokes: Sequence[Poke], generations: int, stops: Sequence[str]) -> None:
    """Raises UsageError for a poke at a stop that the run does not reach."""
    for poke in pokes:
        if not 1 <= poke.generation <= generations:
            raise click.UsageError(f"--poke {poke}: the run has generations 1 to {generations}")
        if poke.stop not in stops:
            listed = ", ".join(stops) or "none"
            raise click.UsageError(f"--poke {poke}: the run stops at {listed}")
