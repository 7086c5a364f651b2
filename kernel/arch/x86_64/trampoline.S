/* SPDX-License-Identifier: BSD-3-Clause */

#include "kernel/arch/x86_64/segments.h"
#include "kernel/arch/x86_64/trampoline.h"

/*
 * The way to long mode through a page below 1 MiB that this code is copied to, with page tables in
 * the pages behind it, whose root must lie below 4 GiB for a 32-bit CR3. They map this page and, as
 * the kernel's own tables do, the image; there the kernel's tables are loaded. struct
 * TrampolineData in trampoline.h is what lies at the end.
 *
 * A started CPU comes in real mode, at the begin. The CPU that booted comes in long mode, at
 * __trampoline_leave, to change the levels of page tables: CR4.LA57 is fixed while paging is on.
 */

/* In the segment of the page, from %ebx, and from the instruction that follows. */
#define DATA(offset) (__trampoline_data - __trampoline_begin + offset)
#define BASED_DATA(offset) offset(%ebx)
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
  .global __trampoline_leave
__trampoline_leave:
  lgdt NEAR_DATA(TRAMPOLINE_GDT_LIMIT)
  lea NEAR_DATA(0), %rbx
  lea 1f(%rip), %rax
  pushq $CODE32_SELECTOR
  pushq %rax
  lretq
  .code32
1:
  mov %cr0, %eax
  btr $CR0_PG_BIT, %eax
  mov %eax, %cr0
  movl BASED_DATA(TRAMPOLINE_CR4), %eax
  mov %eax, %cr4
  movl BASED_DATA(TRAMPOLINE_ROOT), %eax
  mov %eax, %cr3
  movl $MSR_EFER, %ecx
  movl BASED_DATA(TRAMPOLINE_EFER), %eax
  xorl %edx, %edx
  wrmsr
  movl $CR0_KERNEL, %eax
  mov %eax, %cr0
  ljmpl *BASED_DATA(TRAMPOLINE_LONG_MODE)

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
  jmp *NEAR_DATA(TRAMPOLINE_TARGET)

  .balign 8
  .global __trampoline_gdt
__trampoline_gdt:
  .quad 0
  .quad CODE32_DESCRIPTOR
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
  .global __started
__started:
  mov %rsi, %cr3
  mov %rdx, %rsp
  pushq $0
  popfq
  xor %ebp, %ebp
  call EnterStartedCpu
  ud2

  /* void PassTrampoline(TrampolineData*, uint64_t page): through it, and back with its tables. */
  .global PassTrampoline
PassTrampoline:
  pushfq
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, TRAMPOLINE_STACK(%rdi)
  lea passed(%rip), %rax
  mov %rax, TRAMPOLINE_TARGET(%rdi)
  add $__trampoline_leave - __trampoline_begin, %rsi
  jmp *%rsi
passed:
  mov %rsi, %cr3
  mov %rdx, %rsp
  lgdt __gdt_pointer(%rip)
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  popfq
  ret

  .section .note.GNU-stack, "", @progbits
