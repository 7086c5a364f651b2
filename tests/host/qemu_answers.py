# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU answers about devices, some of it as QEMU 7.2 gave it."""

from __future__ import annotations

import re
from typing import Any

from khorig.vm.errors import InfraError

MTREE = """\
FlatView #0
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-000000000000ffff (prio 0, i/o): io

FlatView #1
 AS "edu", root: bus master container
 Root memory region: (none)
  No rendered FlatView

FlatView #2
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
{}
"""
PC = """\
  0000000000000000-000000000fffffff (prio 0, ram): ram
  00000000b0000000-00000000bfffffff (prio 0, i/o): pcie-mmcfg-mmio
  00000000fed00000-00000000fed003ff (prio 0, i/o): hpet
"""
VIRT = """\
  0000000008000000-000000000800ffff (prio 0, i/o): gicv3_dist
  0000000008080000-000000000808ffff (prio 0, i/o): control
  0000000008090000-000000000809ffff (prio 0, i/o): translation
  00000000080a0000-00000000080dffff (prio 0, i/o): gicv3_redist_region[0]
  0000000009000000-0000000009000fff (prio 0, i/o): pl011
  000000000a000000-000000000a0001ff (prio 0, i/o): virtio-mmio
  000000000a000200-000000000a0003ff (prio 0, i/o): virtio-mmio
  0000000010000000-000000003efeffff (prio 0, i/o): gpex_mmio_window @0000000010000000
  0000004010000000-000000401fffffff (prio 0, i/o): pcie-mmcfg-mmio
"""
GICV2 = """\
  0000000008000000-0000000008000fff (prio 0, i/o): gic_dist
  0000000008010000-0000000008011fff (prio 0, i/o): gic_cpu
"""
LAPIC = """\
dumping local APIC state for CPU 0 \r
\r
LVT0\t 0x{lvt0:08x} active-hi edge  masked                      ExtINT (vec 0)\r
LVTT\t 0x{lvtt:08x} active-hi edge  masked         periodic     Fixed  (vec 240)\r
Timer\t DCR=0x0 (divide by 2) initial_count = {count} current_count = 0\r
SPIV\t 0x{spiv:08x} APIC disabled, focus=off, spurious vec 255\r
"""
PIC = """\
ioapic0: ver=0x20 id=0x00 sel=0x3e (redir[23])\r
  pin 0  0x00000000000100f0 dest=0 vec=240 active-hi edge  masked fixed  physical\r
  pin 23 0x{pin:016x} dest=0 vec=240 active-hi edge         fixed  physical\r
  IRR      (none)\r
pic1: irr=00 imr={slave} isr=00 hprio=0 irq_base=70 rr_sel=0 elcr=0c fnm=0\r
pic0: irr=01 imr=ff isr=00 hprio=0 irq_base=08 rr_sel=0 elcr=00 fnm=0\r
"""
QUIET = {"lvt0": 0x10700, "lvtt": 0x300F0, "count": 0, "spiv": 0xFF}


class FakeQmp:
    """Answers as QEMU does; what is not given is refused."""

    def __init__(self, memory: str, words: dict[int, int]) -> None:
        self.words = words
        self.answers: dict[str, Any] = {
            "info mtree -f": MTREE.format(memory),
            "info lapic 0": LAPIC.format(**QUIET),
            "info pic": PIC.format(pin=0x100F0, slave="ff"),
            "query-pci": [],
            "x-query-virtio": [],
            "i /b 0x40": "portb[0x0040] = 0x30",
            "i /b 0x3f9": "portb[0x03f9] = 0x00",
        }
        self.asked: list[str] = []

    def execute(self, command: str, **arguments: Any) -> Any:
        return self.monitor(command)

    def monitor(self, command: str) -> Any:
        self.asked.append(command)
        if command.startswith("o /"):
            return ""
        if command.startswith(("xp /1wx ", "xp /1bx ")):
            address = int(command.split()[2], 16)
            digits = 8 if "w" in command else 2
            return f"{address:016x}: 0x{self.words.get(address, 0):0{digits}x}\r\n"
        if found := re.fullmatch(r"xp /(\d+)wx (0x[0-9a-f]+)", command):
            count, address = int(found[1]), int(found[2], 16)
            lines = []
            for at in range(address, address + 4 * count, 16):
                some = range(at, min(at + 16, address + 4 * count), 4)
                words = " ".join(f"0x{self.words.get(word, 0):08x}" for word in some)
                lines.append(f"{at:016x}: {words}\r\n")
            return "".join(lines)
        if command not in self.answers:
            raise InfraError(f"QMP error: {command}")
        answer = self.answers[command]
        if isinstance(answer, Exception):
            raise answer
        return answer
