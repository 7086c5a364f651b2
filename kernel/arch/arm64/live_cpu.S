// SPDX-License-Identifier: BSD-3-Clause

#include "kernel/arch/arm64/asm_macros.h"
#include "kernel/arch/arm64/live_cpu_code.h"

// The loop of a CPU that runs on across jumps, copied to a page of its own together with its
// vectors, all of which spin. On entry, as called from C++: x0 = counter, x1 = mailbox, x2 = end of
// the stack, x3 = table, x4 = this page; all but the table are addresses in the CPU's own tables.

.section .text.live_cpu, "ax"
.balign 2048
.globl live_cpu_begin
live_cpu_begin:
.rept 16
  .balign 128
  b .
.endr

  .org live_cpu_begin + LIVE_CPU_ENTRY
  msr daifset, #0xf
  write_el vbar, x4, x5
  isb
  // The kernel's map and this CPU's have the page at the same address in blocks of different sizes,
  // so the change is made with the MMU off.
  mmu_off x5, x6
  mmu_on x3, x5, x6
  msr spsel, #1
  mov sp, x2
  ldr x6, [x0]
1:
  add x6, x6, #1
  str x6, [sp, #-16]!
  ldr x6, [sp], #16
  str x6, [x0]
  yield
  ldr x7, [x1]
  cbz x7, 1b
  mov x8, #1
  str x8, [x0, #8]
  dsb sy
  mov32 x0, LIVE_CPU_OFF
  cmp x7, #LIVE_CPU_LEAVES_BY_SMC
  b.eq 2f
  hvc #0
  b .
2:
  smc #0
  b .
.globl live_cpu_end
live_cpu_end:
