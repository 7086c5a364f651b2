/* SPDX-License-Identifier: BSD-3-Clause */

#include "kernel/arch/arm64/image_base.h"
#include "kernel/arch/image_constants.h"
#include "khocore/abi/page_shift.h"

/* One image, linked in the lower half so that the same layout serves EL1 and EL2. The bytes from the
   lowest load address on are a Linux arm64 Image; it runs wherever it is put at 2 MiB alignment. */

OUTPUT_FORMAT(elf64-littleaarch64)
OUTPUT_ARCH(aarch64)
ENTRY(image_header)

PHDRS {
  text PT_LOAD FLAGS(5);
  rodata PT_LOAD FLAGS(4);
  data PT_LOAD FLAGS(6);
}

kLoadAddress = 0x40200000;
kPage = 1 << KHOCORE_PAGE_SHIFT;

SECTIONS {
  . = IMAGE_BASE;
  __image_begin = .;

  .text : AT(ADDR(.text) - IMAGE_BASE + kLoadAddress) {
    KEEP(*(.text.header))
    *(.text.entry)
    *(.text .text.*)
    . = ALIGN(kPage);
  } :text
  __text_end = .;

  .rodata : AT(ADDR(.rodata) - IMAGE_BASE + kLoadAddress) {
    *(.rodata .rodata.*)
    . = ALIGN(16);
    __scenarios_begin = .;
    KEEP(*(.khorig.scenarios))
    __scenarios_end = .;
    __faults_begin = .;
    KEEP(*(.khorig.faults))
    __faults_end = .;
  } :rodata
  .got : AT(ADDR(.got) - IMAGE_BASE + kLoadAddress) { *(.got .got.plt) } :rodata
  .symbols : AT(ADDR(.symbols) - IMAGE_BASE + kLoadAddress) {
    __symbols_begin = .;
    BYTE(0)
    . = __symbols_begin + SYMBOL_TABLE_BYTES;
    __symbols_end = .;
    . = ALIGN(kPage);
  } :rodata
  __rodata_end = .;

  .init_array : { *(.init_array .init_array.*) *(.ctors .ctors.*) } :data
  .data : AT(ADDR(.data) - IMAGE_BASE + kLoadAddress) {
    *(.data .data.*)
    . = ALIGN(kPage);
  } :data
  __data_end = .;

  .bss (NOLOAD) : AT(ADDR(.bss) - IMAGE_BASE + kLoadAddress) {
    __bss_begin = .;
    *(.bss .bss.*)
    *(COMMON)
    . = ALIGN(64);
    __bss_end = .;
    /* Written with the MMU off; see entry.S. */
    . = ALIGN(kPage);
    __early_begin = .;
    *(.early)
    . = . + 1K;
    . = ALIGN(kPage);
    __early_end = .;
    /* Zeroed as they are taken. */
    *(.tables)
    /* An unmapped page, the stack, and the stack of exceptions. */
    __stack_guard = .;
    . = . + kPage;
    __stack_begin = .;
    . = . + STACK_BYTES;
    __stack_end = .;
    __exception_stack_begin = .;
    . = . + EXCEPTION_STACK_BYTES;
    __exception_stack_end = .;
    . = ALIGN(kPage);
  } :data
  __image_end = .;
  __image_size = __image_end - __image_begin;

  /DISCARD/ : { *(.eh_frame .eh_frame_hdr .comment .note .note.* .interp .ARM.exidx*) }

  ASSERT(SIZEOF(.init_array) == 0, "dynamic initialization is not supported")
  ASSERT(__image_size <= IMAGE_MAX_BYTES, "the image is larger than IMAGE_MAX_BYTES")
  ASSERT(relocate_end - relocate_begin <= kPage, "relocate.S is larger than a page")
}
