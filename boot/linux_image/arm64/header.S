// SPDX-License-Identifier: BSD-3-Clause

// The 64 bytes that make the flat image one that a loader of Linux kernels takes (Linux
// Documentation/arch/arm64/booting.rst, section 4).

#include "kernel/arch/image_constants.h"
#include "khocore/abi/page_shift.h"

// 1 for pages of 4 KiB, 2 for 16, 3 for 64.
#define PAGE_SIZE_FLAG ((KHOCORE_PAGE_SHIFT - 10) / 2)

.section .text.header, "ax"
.globl image_header
image_header:
  b image_entry
  .long 0
  .quad 0                                // text_offset: at the 2 MiB-aligned base itself
  .quad __image_size                     // with zero-initialized data
  .quad (PAGE_SIZE_FLAG << 1) | (1 << 3) // little-endian, page size, anywhere in memory
  .quad 0, 0, 0
  .ascii "ARM\x64"
  .long 0

  // How the last kernel entered this one: x0 to x3, DAIF, CurrentEL, SCTLR and
  // at EL2 HCR_EL2. For the host (docs/abi.md).
  .org image_header + ENTRY_RECORD_OFFSET
.globl entry_record
entry_record:
  .quad 0, 0, 0, 0, 0, 0, 0, 0
