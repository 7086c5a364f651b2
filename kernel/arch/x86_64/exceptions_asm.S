/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One stub of 16 bytes for each of the 32 exception vectors. Where the CPU pushes no error code the
 * stub pushes 0, so that HandleException() always finds the same struct Registers.
 */

  .section .text.exceptions, "ax"
  .code64

/* 8, 10 to 14, 17, 21, 29 and 30 come with an error code. */
#define HAS_ERROR_CODE 0x60227d00

  .balign 16
  .global __exception_stubs
__exception_stubs:
  .set vector, 0
  .rept 32
  .balign 16
  .if ((HAS_ERROR_CODE >> vector) & 1) == 0
  pushq $0
  .endif
  pushq $vector
  jmp save_registers
  .set vector, vector + 1
  .endr

  .balign 16
save_registers:
  pushq %rax
  pushq %rcx
  pushq %rdx
  pushq %rbx
  pushq %rbp
  pushq %rsi
  pushq %rdi
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  /* Another fault, also one of a handler that prints, would overwrite it. */
  mov %cr2, %rax
  pushq %rax
  cld
  mov %rsp, %rdi
  xor %ebp, %ebp
  call HandleException
  ud2

/* An interrupt ends arch::Sleep()'s hlt, and that is all. */
  .balign 16
  .global __interrupt_stub
__interrupt_stub:
  iretq

  .section .note.GNU-stack, "", @progbits
