// SPDX-License-Identifier: BSD-3-Clause

#include "kernel/arch/arm64/asm_macros.h"

// Runs from a copy, between the relocator and the next kernel, for faults alone: each entry spoils
// one thing of what the relocator left. The MMU is off.

#define SCTLR_C 0x4
#define HCR_TGE (1 << 27)
#define HCR_E2H (1 << 34)
// EL1 with its own stack pointer, everything masked.
#define SPSR_EL1H 0x3c5

.section .rodata.jump_defects, "a"
.balign 16
.globl jump_defects_begin
jump_defects_begin:
.globl jump_defect_interrupts
jump_defect_interrupts:
  msr daifclr, #0xf
  b enter
.globl jump_defect_arguments
jump_defect_arguments:
  mov x1, #1
  b enter
.globl jump_defect_control_bits
jump_defect_control_bits:
  read_el x9, sctlr
  orr x9, x9, #SCTLR_C
  write_el sctlr, x9, x10
  isb
  b enter
.globl jump_defect_lower_level
jump_defect_lower_level:
  mov32 x9, HCR_EL2_VALUE & ~0x30
  msr hcr_el2, x9
  mov32 x9, SCTLR_EL1_OFF
  msr sctlr_el1, x9
  mov x9, #SPSR_EL1H
  msr spsr_el2, x9
  ldr x9, jump_defects_data
  msr elr_el2, x9
  isb
  eret
.globl jump_defect_host_extensions
jump_defect_host_extensions:
  mrs x9, hcr_el2
  orr x9, x9, #HCR_E2H
  orr x9, x9, #HCR_TGE
  msr hcr_el2, x9
  isb
  b enter
enter:
  ldr x9, jump_defects_data
  br x9
  .balign 8
.globl jump_defects_data
jump_defects_data:
  .quad 0 // where the next kernel is entered
.globl jump_defects_end
jump_defects_end:
