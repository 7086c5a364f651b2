# SPDX-License-Identifier: BSD-3-Clause
"""Renders the templates of pages and maps."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from khorig.out.text import rule_label, size
from khorig.vm.errors import InfraError

_HERE = Path(__file__).parent


def render(name: str, **values: Any) -> str:
    """Renders a template of this folder. Raises InfraError without jinja2."""
    text: str = (
        _environment()
        .get_template(name)
        .render(
            colours=_file("colours.css"),
            style=_file("report.css"),
            script=_file("report.js"),
            **values,
        )
    )
    return text


@functools.cache
def _file(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@functools.cache
def _environment() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise InfraError("python3-jinja2 is not installed") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        size=size,
        rule_label=rule_label,
        address=lambda value: f"{value:#010x}",
        amount=amount,
        seconds=seconds,
    )
    return environment


def amount(count: int) -> str:
    """A large number with a suffix: "3.16 M"."""
    for unit, name in ((10**9, " G"), (10**6, " M"), (10**3, " k")):
        if count >= unit:
            return (
                f"{count / unit:.3g}{name}" if count < 100 * unit else f"{count / unit:.0f}{name}"
            )
    return str(count)


def seconds(value: float) -> str:
    """A duration with its unit."""
    return f"{value:.2f} s" if value < 100 else f"{value / 60:.1f} min"
