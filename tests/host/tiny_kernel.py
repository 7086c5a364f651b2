# SPDX-License-Identifier: BSD-3-Clause
"""ELF files with scenarios in them, as kernels have them."""

from __future__ import annotations

import subprocess
from pathlib import Path

_SOURCE = """
struct Scenario { const char *name, *summary; _Bool expects_refusal; void (*work[4])(void); };
#define SCENARIO(id, text) \\
  __attribute__((section("scenarios"), used)) static const struct Scenario id = {#id, text};
%s
void _start(void) {}
"""


def build_elf(path: Path, scenarios: dict[str, str], bounds: bool = True) -> None:
    """Links an ELF with these scenarios between the two symbols, which may be left out."""
    lines = [f'SCENARIO({name}, "{text}")' for name, text in scenarios.items()]
    if not scenarios:
        lines = ['__attribute__((section("scenarios"), used)) static const char nothing[0] = {};']
    begin, end = "__start_scenarios", "__stop_scenarios"
    flags = [f"-Wl,--defsym=__scenarios_begin={begin}", f"-Wl,--defsym=__scenarios_end={end}"]
    subprocess.run(
        [
            *("clang-19", "--target=x86_64-linux-gnu", "-nostdlib", "-static", "-ffreestanding"),
            *("--ld-path=/usr/bin/ld.lld-19", *(flags if bounds else []), "-x", "c", "-"),
            *("-o", str(path)),
        ],
        input=_SOURCE % "\n".join(lines),
        text=True,
        check=True,
    )
