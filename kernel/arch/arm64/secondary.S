// SPDX-License-Identifier: BSD-3-Clause

#include "kernel/arch/arm64/asm_macros.h"
#include "kernel/arch/arm64/cpu_local.h"

// Where PSCI starts a CPU: MMU off, at the EL of the CPU that asked for it, x0 = physical address of
// its struct CpuLocal, cleaned to memory. Nothing is written before the MMU is on.

.section .text.secondary, "ax"
.globl secondary_entry
secondary_entry:
  msr daifset, #0xf
  mov x19, x0
  load_address x1, exception_vectors
  prepare_el x1, x3
  mmu_off x3, x4
  ldr x20, [x19, #CPU_START_TABLE]
  mmu_on x20, x2, x3
  ldr x0, =secondary_mapped
  br x0

// At the address the image is linked at. The kernel's own table has the image there, too; what the
// two have differently is not used in between.
secondary_mapped:
  ldp x20, x21, [x19, #CPU_TABLE]
  ldp x22, x23, [x19, #CPU_EXCEPTION_STACK]
  write_el ttbr0, x20, x2
  isb
  test_el2 x2
  b.eq 1f
  tlbi vmalle1
  b 2f
1:
  tlbi alle2
2:
  dsb nsh
  isb
  write_el vbar, x21, x2
  msr tpidr_el1, x19
  isb
  msr spsel, #1
  mov sp, x22
  msr spsel, #0
  mov sp, x23
  mov x29, xzr
  mov x30, xzr
  mov x0, x19
  bl EnterStartedCpu
  .ltorg
