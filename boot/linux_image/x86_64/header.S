/* SPDX-License-Identifier: BSD-3-Clause */

#include "kernel/arch/x86_64/image_base.h"

/*
 * Boot sector and one setup sector of the bzImage: the setup header (Linux
 * Documentation/arch/x86/boot.rst) that kexec_file_load checks and that describes the kernel to any
 * 64-bit loader. There is no real-mode code; QEMU boots the ELF by its PVH note instead.
 */

#define PROTOCOL_VERSION 0x020f
#define LOADED_HIGH 1
#define XLF_KERNEL_64 1
#define XLF_CAN_BE_LOADED_ABOVE_4G 2
#define XLF_5LEVEL 0x20         /* may be entered with LA57 on */
#define XLF_5LEVEL_ENABLED 0x40 /* uses five levels where the CPU has them */
#define COMMAND_LINE_SIZE 2047
#define ALIGNMENT_LOG2 21
#define KERNEL_INFO_OFFSET 0x10

  .section .setup, "a"
  .code16
boot_sector:
  .org 0x1f1
  .byte 1                    /* setup_sects */
  .word 0                    /* root_flags */
  .long __payload_paragraphs /* syssize */
  .word 0                    /* ram_size */
  .word 0                    /* vid_mode */
  .word 0                    /* root_dev */
  .word 0xaa55               /* boot_flag */
  .org 0x200
  .byte 0xeb, header_end - 1f /* jmp header_end; a loader takes the header's length from it */
1:
  .ascii "HdrS"
  .word PROTOCOL_VERSION
  .long 0               /* realmode_swtch */
  .word 0               /* start_sys_seg */
  .word 0               /* kernel_version */
  .byte 0               /* type_of_loader */
  .byte LOADED_HIGH     /* loadflags */
  .word 0               /* setup_move_size */
  .long PHYSICAL_BASE /* code32_start */
  .long 0               /* ramdisk_image */
  .long 0               /* ramdisk_size */
  .long 0               /* bootsect_kludge */
  .word 0               /* heap_end_ptr */
  .byte 0               /* ext_loader_ver */
  .byte 0               /* ext_loader_type */
  .long 0               /* cmd_line_ptr */
  .long 0x7fffffff      /* initrd_addr_max */
  .long 1 << ALIGNMENT_LOG2
  .byte 1 /* relocatable_kernel */
  .byte ALIGNMENT_LOG2
  .word XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G | XLF_5LEVEL | XLF_5LEVEL_ENABLED
  .long COMMAND_LINE_SIZE
  .long 0 /* hardware_subarch */
  .quad 0 /* hardware_subarch_data */
  .long 0 /* payload_offset */
  .long 0 /* payload_length */
  .quad 0 /* setup_data */
  .quad PHYSICAL_BASE
  .long __memory_bytes /* init_size */
  .long 0              /* handover_offset */
  .long KERNEL_INFO_OFFSET
header_end:
  cli
  hlt
  jmp header_end
  .org 1024

  .section .note.GNU-stack, "", @progbits
