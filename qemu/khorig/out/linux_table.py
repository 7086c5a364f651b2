# SPDX-License-Identifier: BSD-3-Clause
"""Matrix of all pairs of kernels."""

from __future__ import annotations

from typing import Sequence

from khorig.run.result import RunResult

KERNELS = ("linux-7.2", "linux-7.3", "khorig")

_WIDTH = 12


def render_table(results: Sequence[RunResult]) -> str:
    """One table per machine: rows hand over to columns."""
    lines: list[str] = []
    machines = dict.fromkeys((r.spec.arch, r.spec.machine) for r in results)
    for arch, machine in machines:
        lines += ["", f"{arch} ({machine}): from row to column"]
        lines.append(" " * _WIDTH + "".join(f"{name:>{_WIDTH}}" for name in KERNELS))
        for first in KERNELS:
            cells = [
                next(
                    (
                        result.verdict.value
                        for result in results
                        if result.spec.machine == machine
                        and result.spec.what == f"{first}+{second}"
                    ),
                    "-",
                )
                for second in KERNELS
            ]
            lines.append(f"{first:<{_WIDTH}}" + "".join(f"{cell:>{_WIDTH}}" for cell in cells))
    return "\n".join(lines)
