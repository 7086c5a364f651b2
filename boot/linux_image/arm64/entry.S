// SPDX-License-Identifier: BSD-3-Clause

#include "kernel/arch/arm64/asm_macros.h"

// Entry of the Linux boot protocol: MMU off, x0 = device tree, EL1 or EL2, anywhere in memory at
// 2 MiB alignment. What is written before the MMU is on lies between __early_begin and __early_end
// alone; only there can the caches and memory disagree. The record of the entry is written too, and
// read by the host alone.

.section .text.entry, "ax"
.globl image_entry
image_entry:
  load_address x9, entry_record
  stp x0, x1, [x9]
  stp x2, x3, [x9, #16]
  mrs x10, daif
  mrs x11, CurrentEL
  stp x10, x11, [x9, #32]
  read_el x10, sctlr
  mov x11, xzr
  test_el2 x12
  b.ne 1f
  mrs x11, hcr_el2
1:
  stp x10, x11, [x9, #48]
  msr daifset, #0xf
  mov x19, x0
  msr tpidr_el1, xzr      // the first CPU; see cpus.cc
  load_address x1, exception_vectors
  load_address x2, __exception_stack_end
  prepare_el x1, x3
  mmu_off x3, x4
  mrs x3, id_aa64mmfr0_el1
  ubfx x3, x3, #GRANULE_FIELD, #4
  cmp x3, #NO_GRANULE
  b.eq no_granule
  // The kernel runs on SP_EL0, so an exception finds a good stack whatever became of that.
  msr spsel, #1
  mov sp, x2
  msr spsel, #0

  load_address x0, __early_begin
  load_address x1, __early_end
  mov sp, x1
  clean_range x0, x1, x2, x3
  load_address x0, early_map
  load_address x1, running_tables
  load_address x2, __image_begin
  load_address x3, __image_end
  sub x3, x3, x2
  mov x4, x19
  mrs x5, CurrentEL
  lsr x5, x5, #2
  mov x20, x2
  bl BuildEarlyMap
  mov x21, x0
  // Lines that were fetched while memory was written past the cache.
  load_address x0, __early_begin
  load_address x1, __early_end
  clean_range x0, x1, x2, x3

  mmu_on x21, x2, x3
  ldr x0, =entry_mapped
  br x0

// From here on at the address the image is linked at.
entry_mapped:
  load_address x0, exception_vectors
  write_el vbar, x0, x1
  isb
  load_address x0, __exception_stack_end
  msr spsel, #1
  mov sp, x0
  msr spsel, #0
  load_address x0, __stack_end
  mov sp, x0
  load_address x0, __bss_begin
  load_address x1, __bss_end
3:
  stp xzr, xzr, [x0]
  stp xzr, xzr, [x0, #16]
  stp xzr, xzr, [x0, #32]
  stp xzr, xzr, [x0, #48]
  add x0, x0, #64
  cmp x0, x1
  b.lo 3b
  mov x29, xzr
  mov x30, xzr
  mov x0, x19
  mov x1, x20
  bl ImageMain
  .ltorg

// Without an MMU there is no kernel, so the `error` event (docs/abi.md) is written here, to the console
// of QEMU's virt machine. A kexec would have refused this image, so it is the first generation.
#define CONSOLE 0x09000000
#define STATUS_USAGE 41
no_granule:
  mov32 x1, CONSOLE
  adr x2, no_granule_event
1:
  ldrb w3, [x2], #1
  cbz w3, 2f
  strb w3, [x1]
  b 1b
2:
  adr x1, usage_status
  mov x0, #0x18
  hlt #0xf000
3:
  wfi
  b 3b
no_granule_event:
  .ascii "@khorig {\"ev\":\"error\",\"gen\":1,\"t\":0,\"cause\":\"page-size\",\"text\":\"the CPU has no pages of "
#if KHOCORE_PAGE_SHIFT == 12
  .ascii "4"
#elif KHOCORE_PAGE_SHIFT == 14
  .ascii "16"
#else
  .ascii "64"
#endif
  .asciz " KiB\"}\n"
  .balign 8
usage_status:
  .quad 0x20026, STATUS_USAGE
