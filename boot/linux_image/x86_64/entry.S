/* SPDX-License-Identifier: BSD-3-Clause */

#include "kernel/arch/image_constants.h"
#include "kernel/arch/x86_64/segments.h"

/*
 * Start of what a loader loads of the bzImage. A 64-bit loader (Linux's kexec_file_load, khorig)
 * enters at offset 0x200 with %rsi = boot_params, anywhere in memory.
 */

  .section .head, "ax"
  .code32
protected_mode_entry:
  /* A loader that enters here asked for a 32-bit kernel; the header says that this is none. */
  cli
  hlt
  jmp protected_mode_entry

  /* What the setup header calls kernel_info. */
  .balign 16
kernel_info:
  .long 0x506f544c /* "LToP" */
  .long kernel_info_end - kernel_info
  .long kernel_info_end - kernel_info
  .long 10 /* highest setup_data type understood: SETUP_KEXEC_KHO */
kernel_info_end:

  /* How the last kernel entered this one: RFLAGS, CR0, CR4, EFER, %rsi,
     CR3. For the host (docs/abi.md). */
  .org ENTRY_RECORD_OFFSET
entry_record:
  .skip 48

  .org 0x200
  .code64
  .global __linux_entry
__linux_entry:
  /* Nothing is known of the stack. */
  lea __stack_end(%rip), %rsp
  pushfq
  popq entry_record(%rip)
  mov %cr0, %rax
  mov %rax, entry_record + 8(%rip)
  mov %cr4, %rax
  mov %rax, entry_record + 16(%rip)
  mov $MSR_EFER, %ecx
  rdmsr
  mov %eax, entry_record + 24(%rip)
  mov %edx, entry_record + 28(%rip)
  mov %rsi, entry_record + 32(%rip)
  mov %cr3, %rax
  mov %rax, entry_record + 40(%rip)

  mov %rsi, %rdi
  mov $LinuxBoot, %rsi
  jmp __start

  .section .note.GNU-stack, "", @progbits
