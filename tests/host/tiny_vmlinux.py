# SPDX-License-Identifier: BSD-3-Clause
"""An ELF as a Linux's build leaves it."""

from __future__ import annotations

import subprocess
from pathlib import Path

TEXT = 0xFFFFFFFF81000000
_MAIN = """\
void machine_kexec(void);
int counter = 1;
void start_kernel(void) {
  machine_kexec();
  counter++;
}
"""
_JUMP = """\
extern int counter; __asm__("__pi_entry_code = entry_code");
void machine_kexec(void) { counter++;
  counter--; }
static inline __attribute__((always_inline)) void cpu_stop(void) { counter = 5; }
void native_halt(void) { cpu_stop(); }
__asm__(".text; entry_code: nop; nop; $x: .Llabel: nop");
"""


def build(folder: Path, *options: str) -> Path:
    """A vmlinux of two files, `start_kernel` in init/main.c like in any."""
    for path, text in {"init/main.c": _MAIN, "kernel/jump.c": _JUMP}.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    elf = folder / "vmlinux"
    subprocess.run(
        [
            *("clang-19", "--target=x86_64-linux-gnu", "-nostdlib", "-static", "-ffreestanding"),
            *("-mcmodel=kernel", "-O0", "-fno-pic", "--ld-path=/usr/bin/ld.lld-19", *options),
            *(f"-Wl,--section-start=.text={TEXT:#x}", "-Wl,-e,start_kernel", "-o", str(elf)),
            *(str(folder / "init/main.c"), str(folder / "kernel/jump.c")),
        ],
        check=True,
    )
    return elf
