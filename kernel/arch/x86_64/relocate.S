/* SPDX-License-Identifier: BSD-3-Clause */

#include "kernel/arch/x86_64/relocate.h"
#include "kernel/arch/x86_64/segments.h"

/*
 * Runs from a copy in a control page, outside everything that it overwrites, at an address that is
 * mapped one to one both by the kernel's tables and by its own. Switches away from the kernel's
 * tables, stack, GDT and IDT before it copies, because the copy may overwrite them. struct
 * RelocatorData in relocate.h describes the words behind the code.
 *
 * The next kernel finds what Linux's 64-bit boot protocol asks for: %rsi = boot_params, the other
 * general registers 0, selectors 0x10 and 0x18 in flat segments, interrupts off, a stack with room
 * above it.
 */

#define DATA(offset) __relocator_data + offset(%rip)

  .section .text.relocate, "ax"
  .code64
  .balign 16
  .global __relocator_begin
__relocator_begin:
  cli
  cld
  mov DATA(RELOCATOR_PAGE_TABLES), %rax
  mov %rax, %cr3
  mov DATA(RELOCATOR_STACK), %rsp
  pushq $0
  popfq

  lgdt gdt_pointer(%rip)
  lidt no_idt(%rip)
  lea 1f(%rip), %rax
  pushq $CODE_SELECTOR
  pushq %rax
  lretq
1:
  mov $DATA_SELECTOR, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  mov %eax, %fs
  mov %eax, %gs

  mov %cr4, %rax
  and $CR4_KEEP, %eax
  mov %rax, %cr4
  mov $CR0_RELOCATOR, %eax
  mov %rax, %cr0

  mov DATA(RELOCATOR_COPIES), %rbx
  mov DATA(RELOCATOR_COPY_COUNT), %rbp
  xor %eax, %eax
2:
  test %rbp, %rbp
  jz 3f
  mov COPY_SOURCE(%rbx), %rsi
  mov COPY_DESTINATION(%rbx), %rdi
  mov COPY_BYTES(%rbx), %rdx
  mov %rdx, %rcx
  shr $3, %rcx
  rep movsq
  mov %edx, %ecx
  and $7, %ecx
  rep movsb
  mov COPY_ZEROS(%rbx), %rdx
  mov %rdx, %rcx
  shr $3, %rcx
  rep stosq
  mov %edx, %ecx
  and $7, %ecx
  rep stosb
  add $COPY_LENGTH, %rbx
  dec %rbp
  jmp 2b

3:
  mov DATA(RELOCATOR_PARAMETERS), %rsi
  xor %ebx, %ebx
  xor %ecx, %ecx
  xor %edx, %edx
  xor %edi, %edi
  xor %r8d, %r8d
  xor %r9d, %r9d
  xor %r10d, %r10d
  xor %r11d, %r11d
  xor %r12d, %r12d
  xor %r13d, %r13d
  xor %r14d, %r14d
  xor %r15d, %r15d
  jmp *DATA(RELOCATOR_ENTRY)

  .balign 8
  .global __relocator_gdt
__relocator_gdt:
  .quad 0
  .quad 0
  .quad CODE_DESCRIPTOR
  .quad DATA_DESCRIPTOR
gdt_end:
no_idt:
  .word 0
  .quad 0
  .balign 8
  .skip 6
gdt_pointer:
  .word gdt_end - __relocator_gdt - 1
  /* struct RelocatorData; its first word is the pointer's other half. */
  .global __relocator_data
__relocator_data:
  .skip RELOCATOR_BYTES
  .global __relocator_end
__relocator_end:

  .section .note.GNU-stack, "", @progbits
