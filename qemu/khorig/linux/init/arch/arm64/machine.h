/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Virtual time as the CPU counts it, in nanoseconds with the grain of the generic timer. */
static unsigned long long counter(void) {
  unsigned long long ticks, frequency;
  __asm__ volatile("isb; mrs %0, cntvct_el0; mrs %1, cntfrq_el0" : "=r"(ticks), "=r"(frequency));
  return ticks / frequency * 1000000000ULL + ticks % frequency * 1000000000ULL / frequency;
}

/* Where struct elf_prstatus has the PC: pc of user_pt_regs. */
enum { PRSTATUS_PC = 112 + 32 * 8 };

/* Ends QEMU with a status by semihosting, which user space must be allowed. */
static void end_qemu(int status) {
  unsigned long block[2] = {0x20026, (unsigned long)status};
  register unsigned long operation __asm__("x0") = 0x18;
  register unsigned long argument __asm__("x1") = (unsigned long)block;
  __asm__ volatile("hlt #0xf000" : : "r"(operation), "r"(argument) : "memory");
}
