/* SPDX-License-Identifier: BSD-3-Clause */

#include "kernel/arch/x86_64/segments.h"
#include "kernel/arch/x86_64/trampoline.h"

/*
 * Where a started CPU begins: in real mode, in a page below 1 MiB that this code was copied to. It
 * goes to long mode at once, on page tables in the pages behind it, whose root must lie below 4 GiB
 * for a 32-bit CR3. They map this page and, as the kernel's own tables do, the image; there the
 * kernel's tables are loaded. struct TrampolineData in trampoline.h is what lies at the end.
 */

/* In the segment of the page, and from the instruction that follows. */
#define DATA(offset) (__trampoline_data - __trampoline_begin + offset)
#define NEAR_DATA(offset) __trampoline_data + offset(%rip)

  .section .text.trampoline, "ax"
  .code16
  .balign 16
  .global __trampoline_begin
__trampoline_begin:
  cli
  cld
  mov %cs, %ax
  mov %ax, %ds
  lgdtl DATA(TRAMPOLINE_GDT_LIMIT)
  movl DATA(TRAMPOLINE_CR4), %eax
  mov %eax, %cr4
  movl DATA(TRAMPOLINE_ROOT), %eax
  mov %eax, %cr3
  movl $MSR_EFER, %ecx
  movl DATA(TRAMPOLINE_EFER), %eax
  xorl %edx, %edx
  wrmsr
  movl $CR0_KERNEL, %eax
  mov %eax, %cr0
  ljmpl *DATA(TRAMPOLINE_LONG_MODE)

  .code64
  .global __trampoline_long_mode
__trampoline_long_mode:
  mov $DATA_SELECTOR, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  xor %eax, %eax
  mov %eax, %fs
  mov %eax, %gs
  mov NEAR_DATA(TRAMPOLINE_CPU), %rdi
  mov NEAR_DATA(TRAMPOLINE_TABLES), %rsi
  mov NEAR_DATA(TRAMPOLINE_STACK), %rdx
  movabs $started, %rax
  jmp *%rax

  .balign 8
  .global __trampoline_gdt
__trampoline_gdt:
  .quad 0
  .quad 0
  .quad CODE_DESCRIPTOR
  .quad DATA_DESCRIPTOR
gdt_end:
  .balign 8
  .global __trampoline_data
__trampoline_data:
  .org __trampoline_data + TRAMPOLINE_LONG_MODE
  .long 0
  .word CODE_SELECTOR
  .org __trampoline_data + TRAMPOLINE_GDT_LIMIT
  .word gdt_end - __trampoline_gdt - 1
  .org __trampoline_data + TRAMPOLINE_BYTES
  .global __trampoline_end
__trampoline_end:

  /* In the image. */
  .section .text.started, "ax"
  .code64
started:
  mov %rsi, %cr3
  mov %rdx, %rsp
  pushq $0
  popfq
  xor %ebp, %ebp
  call EnterStartedCpu
  ud2

  .section .note.GNU-stack, "", @progbits
