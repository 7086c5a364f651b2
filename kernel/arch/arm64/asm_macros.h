// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/abi/page_shift.h"

// For assembly only. The kernel stays at the exception level it was entered at, EL1 or EL2 without
// VHE; both have the same registers under two names, chosen at run time by these macros.

// SCTLR with every RES1 bit of Armv8.0, little-endian, MMU and caches off.
#define SCTLR_EL1_OFF 0x30d00800
#define SCTLR_EL2_OFF 0x30c50830
#define HCR_EL2_VALUE 0x80000030

// MMU, data cache, SP alignment check and instruction cache.
#define SCTLR_ON 0x100d

// 39-bit addresses in pages of the kernel's size (TG0), walks write-back and inner shareable. Bit
// 23 is EPD1 at EL1 (no upper half) and RES1 at EL2.
#define TCR_COMMON (0x00803519 | TCR_TG0 << 14)

// By page size: TG0, and of ID_AA64MMFR0_EL1 the field that says whether the CPU has it, with the
// value that says no (Arm ARM, D19.2).
#if KHOCORE_PAGE_SHIFT == 12
#define TCR_TG0 0
#define GRANULE_FIELD 28
#define NO_GRANULE 15
#elif KHOCORE_PAGE_SHIFT == 14
#define TCR_TG0 2
#define GRANULE_FIELD 20
#define NO_GRANULE 0
#elif KHOCORE_PAGE_SHIFT == 16
#define TCR_TG0 1
#define GRANULE_FIELD 24
#define NO_GRANULE 15
#endif
#define TCR_EL2_RES1 0x80000000

// Attribute 0: device nGnRnE, attribute 1: normal write-back.
#define MAIR_VALUE 0xff00

.macro mov32 register, value
  movz \register, #((\value) & 0xffff)
  movk \register, #(((\value) >> 16) & 0xffff), lsl #16
.endm

.macro load_address register, symbol
  adrp \register, \symbol
  add \register, \register, :lo12:\symbol
.endm

/// Sets Z when the CPU is at EL2.
.macro test_el2 scratch
  mrs \scratch, CurrentEL
  cmp \scratch, #(2 << 2)
.endm

/// Writes the EL's own `name`.
.macro write_el name, value, scratch
  test_el2 \scratch
  b.eq .Lel2_\@
  msr \name\()_el1, \value
  b .Ldone_\@
.Lel2_\@:
  msr \name\()_el2, \value
.Ldone_\@:
.endm

/// Reads the EL's own `name`.
.macro read_el value, name
  test_el2 \value
  b.eq .Lel2_\@
  mrs \value, \name\()_el1
  b .Ldone_\@
.Lel2_\@:
  mrs \value, \name\()_el2
.Ldone_\@:
.endm

/// What an EL has to have before anything else: its vectors, and no traps of floating point, which
/// libfdt uses.
.macro prepare_el vectors, scratch
  test_el2 \scratch
  b.ne .Lel1_\@
  // RW, and IMO and AMO for interrupts and SErrors at EL2: a kernel that ran with VHE leaves E2H
  // and TGE set.
  mov32 \scratch, HCR_EL2_VALUE
  msr hcr_el2, \scratch
  isb
  mov \scratch, #0x33ff
  msr cptr_el2, \scratch
  msr vbar_el2, \vectors
  b .Lprepared_\@
.Lel1_\@:
  mov \scratch, #(3 << 20)
  msr cpacr_el1, \scratch
  msr vbar_el1, \vectors
.Lprepared_\@:
.endm

/// MMU and caches off, everything else as SCTLR should be.
.macro mmu_off a, b
  mov32 \a, SCTLR_EL1_OFF
  mov32 \b, SCTLR_EL2_OFF
  dsb sy
  test_el2 x16
  csel \a, \b, \a, eq
  write_el sctlr, \a, \b
  isb
.endm

/// MMU and caches on with the table at `table`, from a clean TLB.
.macro mmu_on table, a, b
  mov \a, #MAIR_VALUE
  write_el mair, \a, \b
  write_el ttbr0, \table, \b
  mrs \b, id_aa64mmfr0_el1
  and \b, \b, #0xf        // physical address size; 5 is the most that these tables have
  mov \a, #5
  cmp \b, \a
  csel \b, \b, \a, lo
  mov32 \a, TCR_COMMON
  test_el2 x16
  b.eq .Lel2_\@
  bfi \a, \b, #32, #3
  msr tcr_el1, \a
  isb
  tlbi vmalle1
  mov32 \a, (SCTLR_EL1_OFF | SCTLR_ON)
  b .Lon_\@
.Lel2_\@:
  bfi \a, \b, #16, #3
  orr \a, \a, #TCR_EL2_RES1
  msr tcr_el2, \a
  isb
  tlbi alle2
  mov32 \a, (SCTLR_EL2_OFF | SCTLR_ON)
.Lon_\@:
  dsb sy
  isb
  write_el sctlr, \a, \b
  isb
.endm

/// Cleans and invalidates the data cache lines of [`begin`, `end`) to the point of coherency.
/// `begin` ends up at or behind `end`.
.macro clean_range begin, end, line, scratch
  mrs \line, ctr_el0
  ubfx \line, \line, #16, #4
  mov \scratch, #4
  lsl \line, \scratch, \line
  sub \scratch, \line, #1
  bic \begin, \begin, \scratch
.Lturn_\@:
  add \scratch, \begin, \line, lsl #3
  cmp \scratch, \end
  b.hi .Lrest_\@
.rept 8
  dc civac, \begin
  add \begin, \begin, \line
.endr
  b .Lturn_\@
.Lrest_\@:
  cmp \begin, \end
  b.hs .Ldone_\@
  dc civac, \begin
  add \begin, \begin, \line
  b .Lrest_\@
.Ldone_\@:
  dsb sy
.endm
