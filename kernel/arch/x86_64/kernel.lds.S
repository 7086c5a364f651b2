/* SPDX-License-Identifier: BSD-3-Clause */

#include "kernel/arch/image_constants.h"
#include "kernel/arch/x86_64/image_base.h"

/*
 * One ELF that is also a bzImage. Seen from its lowest physical address, the flat file is
 *
 *     .setup   1 KiB   boot sector and setup header (boot/linux_image/x86_64/header.S)
 *     .text    first 512 bytes: kernel_info; 64-bit entry at 0x200
 *     .rodata, .symbols, .data
 *
 * and what follows .data is zero-initialized and not in the file.
 */

OUTPUT_FORMAT(elf64-x86-64)
OUTPUT_ARCH(i386:x86-64)
ENTRY(__linux_entry)

SETUP_BYTES = 1024;

PHDRS {
  setup PT_LOAD FLAGS(4);
  text PT_LOAD FLAGS(5);
  rodata PT_LOAD FLAGS(4);
  data PT_LOAD FLAGS(6);
  note PT_NOTE FLAGS(4);
}

SECTIONS {
  . = IMAGE_BASE - SETUP_BYTES;
  .setup : AT(PHYSICAL_BASE - SETUP_BYTES) { KEEP(*(.setup)) } :setup
  ASSERT(SIZEOF(.setup) == SETUP_BYTES, "the setup header has another size")

  . = IMAGE_BASE;
  __image_begin = .;
  .text : AT(ADDR(.text) - IMAGE_BASE + PHYSICAL_BASE) {
    KEEP(*(.head))
    *(.text .text.*)
    . = ALIGN(4096);
  } :text
  __text_end = .;

  .rodata : AT(ADDR(.rodata) - IMAGE_BASE + PHYSICAL_BASE) {
    *(.rodata .rodata.*)
    . = ALIGN(8);
    __scenarios_begin = .;
    KEEP(*(.khorig.scenarios))
    __scenarios_end = .;
    __faults_begin = .;
    KEEP(*(.khorig.faults))
    __faults_end = .;
  } :rodata
  .note.Xen : AT(ADDR(.note.Xen) - IMAGE_BASE + PHYSICAL_BASE) {
    KEEP(*(.note.Xen))
  } :rodata :note
  .symbols : AT(ADDR(.symbols) - IMAGE_BASE + PHYSICAL_BASE) {
    __symbols_begin = .;
    BYTE(0)
    . += SYMBOL_TABLE_BYTES - 1;
    __symbols_end = .;
    . = ALIGN(4096);
  } :rodata
  __rodata_end = .;

  .data : AT(ADDR(.data) - IMAGE_BASE + PHYSICAL_BASE) {
    *(.data .data.*)
    . = ALIGN(4096);
  } :data
  __data_end = .;

  /* .bss.entry is used before anything is zeroed, and never after; tables are zeroed when taken. */
  .bss : AT(ADDR(.bss) - IMAGE_BASE + PHYSICAL_BASE) {
    *(.bss.entry)
    *(.bss.tables)
    . = ALIGN(4096);
    __bss_begin = .;
    *(.bss.stack)
    *(.bss .bss.*)
    *(COMMON)
    . = ALIGN(4096);
  } :data
  __image_end = .;

  .init_array : { *(.init_array .init_array.* .ctors .ctors.*) }
  ASSERT(SIZEOF(.init_array) == 0, "there is a dynamic initialization")
  ASSERT(__image_end - __image_begin <= IMAGE_MAX_BYTES, "the image is larger than IMAGE_MAX_BYTES")
  ASSERT(__linux_entry == __image_begin + 0x200, "the 64-bit entry is not at 0x200")

  __payload_paragraphs = (__data_end - __image_begin) / 16;
  __memory_bytes = __image_end - __image_begin;
  __pvh_entry_physical = __pvh_entry - IMAGE_BASE + PHYSICAL_BASE;

  /DISCARD/ : {
    *(.eh_frame .eh_frame_hdr .comment .note .note.* .got .got.plt)
  }
}
