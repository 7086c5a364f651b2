// SPDX-License-Identifier: BSD-3-Clause

#include "kernel/arch/arm64/asm_macros.h"
#include "kernel/arch/arm64/jump_plan.h"

// Copies the next kernel into place and enters it. Runs from a page of its own, on tables of its own
// and without a stack, because the kernel that made the plan may be what is overwritten.
// x0 = physical address of the plan.

#define STATUS_PANIC 37

.section .text.relocate, "ax"
.balign 2048
.globl relocate_begin
relocate_begin:
.rept 16
  .balign 128
  b relocate_fault
.endr

  .org relocate_begin + RELOCATE_ENTRY
  msr daifset, #0xf
  msr spsel, #1
  adr x1, relocate_begin
  write_el vbar, x1, x2
  isb
  // The old and the new map have this page at the same address in blocks of different sizes, so the
  // change is made with the MMU off.
  ldr x20, [x0, #PLAN_TABLE]
  ldr x21, [x0, #PLAN_ENTRY]
  ldr x22, [x0, #PLAN_PARAMETERS]
  ldr x23, [x0, #PLAN_COPY_COUNT]
  add x24, x0, #PLAN_COPIES
  mmu_off x1, x2
  mmu_on x20, x1, x2

next_segment:
  cbz x23, all_copied
  ldp x1, x2, [x24, #COPY_SOURCE]
  ldp x3, x4, [x24, #COPY_DESTINATION]
  add x5, x3, x2                    // end of what is copied
  add x6, x3, x4                    // end of the segment
  mov x7, x3
1:
  sub x8, x5, x7
  cmp x8, #64
  b.lo 2f
  ldp x10, x11, [x1], #16
  ldp x12, x13, [x1], #16
  ldp x14, x15, [x1], #16
  ldp x16, x17, [x1], #16
  stp x10, x11, [x7], #16
  stp x12, x13, [x7], #16
  stp x14, x15, [x7], #16
  stp x16, x17, [x7], #16
  b 1b
2:
  cbz x8, 3f
  ldrb w10, [x1], #1
  strb w10, [x7], #1
  sub x8, x8, #1
  b 2b
3:
  // Zeros to the end of the page. What follows is the next kernel's own to zero; only its lines in
  // the caches must not be.
  neg x9, x5
  and x9, x9, #((1 << KHOCORE_PAGE_SHIFT) - 1)
  add x9, x9, x5
  cmp x9, x6
  csel x9, x9, x6, lo
zero_line:
  sub x8, x9, x7
  cmp x8, #64
  b.lo 4f
  stp xzr, xzr, [x7], #16
  stp xzr, xzr, [x7], #16
  stp xzr, xzr, [x7], #16
  stp xzr, xzr, [x7], #16
  b zero_line
4:
  cbz x8, 5f
  strb wzr, [x7], #1
  sub x8, x8, #1
  b 4b
5:
  clean_range x3, x6, x1, x2
  add x24, x24, #COPY_LENGTH
  sub x23, x23, #1
  b next_segment

all_copied:
  ic iallu
  dsb sy
  isb
  mmu_off x1, x2
  mov x0, x22
  mov x1, xzr
  mov x2, xzr
  mov x3, xzr
  br x21

// No console is mapped here, so the exit status is the only report.
relocate_fault:
  adr x1, fault_status
  mov x0, #0x18
  hlt #0xf000
6:
  wfi
  b 6b
  .balign 8
fault_status:
  .quad 0x20026, STATUS_PANIC
.globl relocate_end
relocate_end:
