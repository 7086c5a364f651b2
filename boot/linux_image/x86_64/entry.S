/* SPDX-License-Identifier: BSD-3-Clause */

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

  .org 0x200
  .code64
  .global __linux_entry
__linux_entry:
  mov %rsi, %rdi
  mov $LinuxBoot, %rsi
  jmp __start

  .section .note.GNU-stack, "", @progbits
