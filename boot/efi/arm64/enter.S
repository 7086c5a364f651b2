// SPDX-License-Identifier: BSD-3-Clause

#include "kernel/arch/arm64/asm_macros.h"

.section .text.enter, "ax"

.globl EfiCleanRange
.hidden EfiCleanRange
EfiCleanRange:
  clean_range x0, x1, x2, x3
  ret

// Nothing here touches memory, so what the caches hold of the stack does not matter. The code itself
// was written by the firmware, which has cleaned it for instruction fetches; memory proper is
// cleaned here, because it is fetched from there once the MMU is off.
.globl EfiEnterKernel
.hidden EfiEnterKernel
EfiEnterKernel:
  msr daifset, #0xf
  mov x19, x0
  mov x20, x1
  load_address x0, EfiEnterKernel
  load_address x1, enter_end
  clean_range x0, x1, x2, x3
  ic iallu
  dsb sy
  isb
  mmu_off x3, x4
  ic iallu
  test_el2 x3
  b.eq 1f
  tlbi vmalle1
  b 2f
1:
  tlbi alle2
2:
  dsb sy
  isb
  mov x0, x20
  mov x1, xzr
  mov x2, xzr
  mov x3, xzr
  br x19
enter_end:
