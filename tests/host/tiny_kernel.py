# SPDX-License-Identifier: BSD-3-Clause
"""ELF files with scenarios and faults in them, as kernels have them."""

from __future__ import annotations

import subprocess
from pathlib import Path

_SOURCE = """
struct Scenario {
  const char *name, *summary;
  _Bool expects_refusal;
  const char *needs;
  void (*work[4])(void);
};
#define SCENARIO(id, text, needs) \\
  __attribute__((section("scenarios"), used)) static const struct Scenario id = \\
      {#id, text, 0, needs};
struct Fault { const char *name, *summary, *bugs; unsigned generation; void (*act)(void*); };
#define FAULT(id, name) \\
  __attribute__((section("faults"), used)) static const struct Fault id = \\
      {name, "words", "R1 R2", 2};
%s
void _start(void) {}
"""


FAULTS = ("write-after-seal", "tail-not-restored")


def build_elf(
    path: Path,
    scenarios: dict[str, str],
    bounds: bool = True,
    faults: tuple[str, ...] = FAULTS,
    needs: str | None = None,
) -> None:
    """Links an ELF with these scenarios and faults between their symbols, which may be left out.
    Every scenario has `needs`."""
    words = f'"{needs}"' if needs is not None else "0"
    lines = [f'SCENARIO({name}, "{text}", {words})' for name, text in scenarios.items()]
    if not scenarios:
        lines = ['__attribute__((section("scenarios"), used)) static const char nothing[0] = {};']
    lines += [f'FAULT(fault_{number}, "{name}")' for number, name in enumerate(faults)]
    if not faults:
        lines += ['__attribute__((section("faults"), used)) static const char none[0] = {};']
    flags = [
        f"-Wl,--defsym=__{list}_{end}=__{edge}_{list}"
        for list in ("scenarios", "faults")
        for end, edge in (("begin", "start"), ("end", "stop"))
    ]
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
