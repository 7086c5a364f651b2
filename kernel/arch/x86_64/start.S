/* SPDX-License-Identifier: BSD-3-Clause */

#include "kernel/arch/image_constants.h"
#include "kernel/arch/x86_64/segments.h"

/*
 * The 64-bit entry that every boot protocol reaches: __start(%rdi argument, %rsi function).
 * Nothing is known but long mode and an identity map of the image, so everything is replaced:
 * stack, control registers, page tables, GDT, IDT and FS. Then `function`, a virtual address, is
 * called with `argument` on the kernel's own stack.
 *
 * Until the page tables are loaded the code runs where it was loaded, so every address is relative
 * to %rip.
 */

  .section .text.start, "ax"
  .code64
  .global __start
__start:
  cli
  cld
  mov %rdi, %r12
  mov %rsi, %r13

  lea __bss_begin(%rip), %rdi
  lea __image_end(%rip), %rcx
  sub %rdi, %rcx
  shr $3, %rcx
  xor %eax, %eax
  rep stosq

  lea __stack_end(%rip), %rsp
  pushq $0
  popfq

  /* What the last kernel left (SMEP, SMAP, PKE, CET, PGE, PCIDE) is off from here on. */
  mov %cr4, %rax
  and $CR4_KEEP, %eax
  mov %rax, %cr4

  mov $0x80000001, %eax
  cpuid
  mov %edx, %r14d
  mov $MSR_EFER, %ecx
  rdmsr
  and $EFER_KEEP, %eax
  xor %edx, %edx
  bt $CPUID_NX_BIT, %r14d
  jnc 1f
  bts $EFER_NXE_BIT, %eax
1:
  wrmsr

  lea __image_begin(%rip), %rsi
  mov %rsi, __load_address(%rip)
  lea __table_pool(%rip), %rdi
  mov $__image_begin, %rdx
  mov %cr4, %rcx
  shr $12, %rcx
  and $1, %ecx
  add $4, %ecx
  call BuildEarlyMap
  mov %rax, %cr3
  mov $CR0_KERNEL, %eax
  mov %rax, %cr0

  lgdt __gdt_pointer(%rip)
  lidt no_idt(%rip)
  pushq $CODE_SELECTOR
  pushq $2f
  lretq

2:
  mov $DATA_SELECTOR, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  xor %eax, %eax
  mov %eax, %fs
  mov %eax, %gs

  /* Debian's libfdt.a reads its stack protector's canary at %fs:0x28. */
  mov $canary_area, %rax
  mov %rax, %rdx
  shr $32, %rdx
  mov $MSR_FS_BASE, %ecx
  wrmsr

  mov $__stack_end, %rsp
  xor %ebp, %ebp
  mov %r12, %rdi
  call *%r13
  ud2

  .section .data.start, "aw"
  .balign 8
  /* The last two words become the TSS. */
  .global __gdt
__gdt:
  .quad 0
  .quad 0
  .quad CODE_DESCRIPTOR
  .quad DATA_DESCRIPTOR
  .quad 0
  .quad 0
gdt_end:
  .if gdt_end - __gdt != 8 * GDT_WORDS
  .error "GDT_WORDS"
  .endif
  .global __gdt_pointer
__gdt_pointer:
  .word gdt_end - __gdt - 1
  .quad __gdt
no_idt:
  .word 0
  .quad 0

  .section .bss.start, "aw", @nobits
  .balign 16
canary_area:
  .skip 0x30
  .global __load_address
__load_address:
  .skip 8

  .section .bss.stack, "aw", @nobits
  .balign 4096
  .global __stack_guard
__stack_guard:
  .skip 4096
  .global __stack_begin
__stack_begin:
  .skip STACK_BYTES
  .global __stack_end
__stack_end:

  .section .note.GNU-stack, "", @progbits
