/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Where a started CPU begins: in real mode, in a page below 1 MiB that this code was copied to. It
 * goes to long mode at once, on page tables in the pages behind it, whose root must lie below 4 GiB
 * for a 32-bit CR3. They map this page and, as the kernel's own tables do, the image; there the
 * kernel's tables are loaded. struct TrampolineData in trampoline.h describes the words at the end.
 */

#define CR0_VALUE 0x80010033 /* PG WP NE ET MP PE */
#define EFER 0xc0000080
#define CODE_SELECTOR 0x10
#define DATA_SELECTOR 0x18
#define OFFSET(symbol) (symbol - __trampoline_begin)

  .section .text.trampoline, "ax"
  .code16
  .balign 16
  .global __trampoline_begin
__trampoline_begin:
  cli
  cld
  mov %cs, %ax
  mov %ax, %ds
  lgdtl OFFSET(gdt_pointer)
  movl OFFSET(cr4), %eax
  mov %eax, %cr4
  movl OFFSET(root), %eax
  mov %eax, %cr3
  movl $EFER, %ecx
  movl OFFSET(efer), %eax
  xorl %edx, %edx
  wrmsr
  movl $CR0_VALUE, %eax
  mov %eax, %cr0
  ljmpl *OFFSET(long_mode)

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
  mov cpu(%rip), %rdi
  mov tables(%rip), %rsi
  mov stack(%rip), %rdx
  movabs $started, %rax
  jmp *%rax

  .balign 8
  .global __trampoline_gdt
__trampoline_gdt:
  .quad 0
  .quad 0
  .quad 0x00af9b000000ffff
  .quad 0x00cf93000000ffff
gdt_end:
  .balign 8
  .global __trampoline_data
__trampoline_data:
long_mode: .long 0
  .word CODE_SELECTOR
gdt_pointer: .word gdt_end - __trampoline_gdt - 1
gdt: .long 0
root: .long 0
cr4: .long 0
efer: .long 0
cpu: .quad 0
tables: .quad 0
stack: .quad 0
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
