/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Runs from a copy, between the relocator and the next kernel, for faults alone: each entry spoils
 * one thing of what the relocator left.
 */

  .section .rodata.jump_defects, "a"
  .code64
  .balign 16
  .global __jump_defects_begin
__jump_defects_begin:
  .global __jump_defect_direction
__jump_defect_direction:
  std
  jmp enter
  .global __jump_defect_interrupts
__jump_defect_interrupts:
  sti
  jmp enter
  .global __jump_defect_arguments
__jump_defect_arguments:
  add $8, %rsi
  jmp enter
  .global __jump_defect_control_bits
__jump_defect_control_bits:
  mov %cr4, %rax
  or __jump_defects_data + 8(%rip), %rax
  mov %rax, %cr4
  xor %eax, %eax
  jmp enter
  .global __jump_defect_software_bits
__jump_defect_software_bits:
  mov %cr3, %rax
  btsq $58, (%rax) /* _PAGE_NOPTISHADOW of Linux 6.14 and later */
  xor %eax, %eax
enter:
  jmp *__jump_defects_data(%rip)
  .balign 8
  .global __jump_defects_data
__jump_defects_data:
  .quad 0 /* where the next kernel is entered */
  .quad 0 /* bits of CR4 */
  .global __jump_defects_end
__jump_defects_end:

  .section .note.GNU-stack, "", @progbits
