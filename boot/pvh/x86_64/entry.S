/* SPDX-License-Identifier: BSD-3-Clause */

#include "kernel/arch/x86_64/image_base.h"
#include "kernel/arch/x86_64/segments.h"

/*
 * PVH entry: 32-bit protected mode, flat segments, paging off, %ebx = hvm_start_info. The loader put
 * the image where its program headers say. Goes to long mode over a map of the first GiB, then to
 * the common entry, which replaces all of it.
 */

#define PHYSICAL(symbol) (symbol - IMAGE_BASE + PHYSICAL_BASE)

#define TABLE_FLAGS 3     /* present, writable */
#define LARGE_PAGE 0x83   /* and 2 MiB */
#define LARGE_PAGE_LOG2 21

  .section .note.Xen, "a", @note
  .balign 4
  .long 4  /* name */
  .long 4  /* description */
  .long 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
  .asciz "Xen"
  .long __pvh_entry_physical

  .section .text.pvh, "ax"
  .code32
  .global __pvh_entry
__pvh_entry:
  cli
  cld
  mov $PHYSICAL(pvh_tables), %edi
  mov $(pvh_tables_end - pvh_tables) / 4, %ecx
  xor %eax, %eax
  rep stosl

  movl $PHYSICAL(pvh_pointers) + TABLE_FLAGS, PHYSICAL(pvh_root)
  movl $PHYSICAL(pvh_directory) + TABLE_FLAGS, PHYSICAL(pvh_pointers)
  mov $LARGE_PAGE, %eax
  mov $PHYSICAL(pvh_directory), %edi
1:
  mov %eax, (%edi)
  add $8, %edi
  add $1 << LARGE_PAGE_LOG2, %eax
  cmp $PHYSICAL(pvh_tables_end), %edi
  jne 1b

  mov $CR4_PAE, %eax
  mov %eax, %cr4
  mov $PHYSICAL(pvh_root), %eax
  mov %eax, %cr3
  mov $MSR_EFER, %ecx
  rdmsr
  or $EFER_LME, %eax
  wrmsr
  mov $CR0_ENTER_LONG_MODE, %eax
  mov %eax, %cr0
  lgdt PHYSICAL(pvh_gdt_pointer)
  ljmp $CODE_SELECTOR, $PHYSICAL(2f)

  .code64
2:
  mov %ebx, %edi
  mov $PvhBoot, %rsi
  jmp __start

  .section .data.pvh, "aw"
  .balign 8
pvh_gdt:
  .quad 0
  .quad 0
  .quad CODE_DESCRIPTOR
pvh_gdt_end:
pvh_gdt_pointer:
  .word pvh_gdt_end - pvh_gdt - 1
  .long PHYSICAL(pvh_gdt)

  .section .bss.entry, "aw", @nobits
  .balign 4096
pvh_tables:
pvh_root:
  .skip 4096
pvh_pointers:
  .skip 4096
pvh_directory:
  .skip 4096
pvh_tables_end:

  .section .note.GNU-stack, "", @progbits
