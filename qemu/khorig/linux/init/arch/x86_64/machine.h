/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Virtual time as the CPU counts it; under icount one unit is one instruction. */
static unsigned long long counter(void) {
  unsigned int low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (unsigned long long)high << 32 | low;
}

/* Where struct elf_prstatus has the PC: rip of user_regs_struct. */
enum { PRSTATUS_PC = 112 + 16 * 8 };

/* Ends QEMU with an odd status through isa-debug-exit. Returns where there is none. A kernel has
   /dev/port or ioperm, seldom both. */
static void end_qemu(int status) {
  char value = (char)(status >> 1);
  int port = open("/dev/port", O_RDWR);
  lseek(port, 0xf4, SEEK_SET);
  write(port, &value, 1);
  if (syscall(__NR_ioperm, 0xf4, 1, 1) == 0) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"((unsigned short)0xf4));
  }
}
