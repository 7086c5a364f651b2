// SPDX-License-Identifier: BSD-3-Clause

#include "kernel/arch/arm64/asm_macros.h"
#include "kernel/arch/arm64/cpu_local.h"
#include "kernel/arch/arm64/exception_frame.h"
#include "kernel/arch/arm64/image_base.h"

// The kernel runs on SP_EL0 and exceptions on the EL's own stack pointer, so an exception never
// depends on the stack it interrupts. An exception within the handler (the second group) starts on
// the lower half of that stack.

.macro handler number
  sub sp, sp, #FRAME_BYTES
  stp x0, x1, [sp, #FRAME_X]
  mov x0, #\number
  b save_registers
.endm

// The end of this CPU's exception stack. TPIDR_EL1 is zero on the first CPU and points to the
// struct CpuLocal of every other one.
.macro load_exception_stack register
  mrs \register, tpidr_el1
  cbz \register, 1f
  ldr \register, [\register, #CPU_EXCEPTION_STACK]
  b 2f
1:
  load_address \register, __exception_stack_end
2:
.endm

.section .text.vectors, "ax"
.balign 2048
.globl exception_vectors
exception_vectors:
.irp number, 0, 1, 2, 3
  .balign 128
  handler \number
.endr
.irp number, 4, 5, 6, 7
  .balign 128
  msr tpidrro_el0, x0
  load_exception_stack x0
  sub x0, x0, #(EXCEPTION_STACK_BYTES / 2)
  mov sp, x0
  mrs x0, tpidrro_el0
  handler \number
.endr
.irp number, 8, 9, 10, 11, 12, 13, 14, 15
  .balign 128
  handler \number
.endr
  .balign 128

save_registers:
  stp x2, x3, [sp, #FRAME_X + 16]
  stp x4, x5, [sp, #FRAME_X + 32]
  stp x6, x7, [sp, #FRAME_X + 48]
  stp x8, x9, [sp, #FRAME_X + 64]
  stp x10, x11, [sp, #FRAME_X + 80]
  stp x12, x13, [sp, #FRAME_X + 96]
  stp x14, x15, [sp, #FRAME_X + 112]
  stp x16, x17, [sp, #FRAME_X + 128]
  stp x18, x19, [sp, #FRAME_X + 144]
  stp x20, x21, [sp, #FRAME_X + 160]
  stp x22, x23, [sp, #FRAME_X + 176]
  stp x24, x25, [sp, #FRAME_X + 192]
  stp x26, x27, [sp, #FRAME_X + 208]
  stp x28, x29, [sp, #FRAME_X + 224]
  mrs x1, sp_el0
  stp x30, x1, [sp, #FRAME_X + 240]
  read_el x1, elr
  read_el x2, spsr
  stp x1, x2, [sp, #FRAME_ELR]
  read_el x1, esr
  read_el x2, far
  stp x1, x2, [sp, #FRAME_ESR]
  str x0, [sp, #FRAME_VECTOR]
  mov x0, sp
  mov x29, xzr
  mov x30, xzr
  bl HandleException
