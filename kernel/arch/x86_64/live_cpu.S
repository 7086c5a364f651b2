/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The loop of a CPU that runs on across jumps, copied to a page of its own. On entry, as called from
 * C++: rdi = counter, rsi = mailbox, rdx = end of the stack, rcx = CR3; all but CR3 are addresses in
 * the CPU's own tables. No descriptor table is used any more: no segment is loaded, no interrupt is
 * taken, and nobody sends this CPU an NMI.
 */

  .section .text.live_cpu, "ax"
  .code64
  .balign 16
  .global __live_cpu_begin
__live_cpu_begin:
  cli
  mov %rcx, %cr3
  mov %rdx, %rsp
  pushq $0
  pushq $0
  lidt (%rsp)
  lgdt (%rsp)
  mov (%rdi), %rax
1:
  inc %rax
  push %rax
  pop %rax
  mov %rax, (%rdi)
  pause
  cmpq $0, (%rsi)
  je 1b
  movq $1, 8(%rdi)
2:
  pause
  jmp 2b
  .global __live_cpu_end
__live_cpu_end:

  .section .note.GNU-stack, "", @progbits
