/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The 64-bit entry that every boot protocol reaches: __start(%rdi argument, %rsi function).
 * Nothing is known but long mode and an identity map of the image, so everything is replaced:
 * stack, control registers, page tables, GDT, IDT and FS. Then `function`, a virtual address, is
 * called with `argument` on the kernel's own stack.
 *
 * Until the page tables are loaded the code runs where it was loaded, so every address is relative
 * to %rip.
 */

#define CR0_VALUE 0x80010033 /* PG WP NE ET MP PE */
#define CR4_KEEP 0x1020      /* LA57, which long mode cannot change, and PAE */
#define EFER 0xc0000080
#define EFER_KEEP 0x500 /* LMA LME */
#define EFER_NXE 11
#define CPUID_NX 20
#define FS_BASE 0xc0000100
#define CODE_SELECTOR 0x10
#define DATA_SELECTOR 0x18

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
  mov $EFER, %ecx
  rdmsr
  and $EFER_KEEP, %eax
  xor %edx, %edx
  bt $CPUID_NX, %r14d
  jnc 1f
  bts $EFER_NXE, %eax
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
  mov $CR0_VALUE, %eax
  mov %rax, %cr0

  lgdt gdt_pointer(%rip)
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
  mov $FS_BASE, %ecx
  wrmsr

  mov $__stack_end, %rsp
  xor %ebp, %ebp
  mov %r12, %rdi
  call *%r13
  ud2

  .section .data.start, "aw"
  .balign 8
  /* Selectors as Linux's boot protocol wants them; the last two words become the TSS. */
  .global __gdt
__gdt:
  .quad 0
  .quad 0
  .quad 0x00af9b000000ffff
  .quad 0x00cf93000000ffff
  .quad 0
  .quad 0
gdt_end:
gdt_pointer:
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
  .skip 32 << 10
  .global __stack_end
__stack_end:

  .section .note.GNU-stack, "", @progbits
