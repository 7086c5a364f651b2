// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Read by trampoline.S, too, which takes the offsets.
#define TRAMPOLINE_LONG_MODE 0
#define TRAMPOLINE_GDT_LIMIT 6
#define TRAMPOLINE_GDT 8
#define TRAMPOLINE_ROOT 16
#define TRAMPOLINE_CR4 20
#define TRAMPOLINE_EFER 24
#define TRAMPOLINE_CPU 32
#define TRAMPOLINE_TABLES 40
#define TRAMPOLINE_STACK 48
#define TRAMPOLINE_TARGET 56
#define TRAMPOLINE_BYTES 64

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

#include "kernel/base/boot_info.h"
#include "khocore/types.h"

namespace arch {

/// What trampoline.S finds at its end, in the page it was copied to. The code's selector and the
/// GDT's limit are its own.
struct TrampolineData {
  uint32_t long_mode;  ///< physical address of `__trampoline_long_mode`, then its selector
  uint16_t code_selector;
  uint16_t gdt_limit;
  uint64_t gdt;   ///< physical address of `__trampoline_gdt`
  uint32_t root;  ///< of the trampoline's own page tables
  uint32_t cr4;
  uint32_t efer;
  uint32_t unused;
  uint64_t cpu;     ///< the `CpuLocal` of the CPU that starts next
  uint64_t tables;  ///< CR3 of the kernel
  uint64_t stack;   ///< the stack pointer in `target`
  uint64_t target;  ///< virtual address in the image, which goes on with the three words above
};
static_assert(offsetof(TrampolineData, long_mode) == TRAMPOLINE_LONG_MODE);
static_assert(offsetof(TrampolineData, code_selector) == TRAMPOLINE_LONG_MODE + 4);
static_assert(offsetof(TrampolineData, gdt_limit) == TRAMPOLINE_GDT_LIMIT);
static_assert(offsetof(TrampolineData, gdt) == TRAMPOLINE_GDT_LIMIT + 2);
static_assert(offsetof(TrampolineData, root) == TRAMPOLINE_ROOT);
static_assert(offsetof(TrampolineData, cr4) == TRAMPOLINE_CR4);
static_assert(offsetof(TrampolineData, efer) == TRAMPOLINE_EFER);
static_assert(offsetof(TrampolineData, cpu) == TRAMPOLINE_CPU);
static_assert(offsetof(TrampolineData, tables) == TRAMPOLINE_TABLES);
static_assert(offsetof(TrampolineData, stack) == TRAMPOLINE_STACK);
static_assert(offsetof(TrampolineData, target) == TRAMPOLINE_TARGET);
static_assert(sizeof(TrampolineData) == TRAMPOLINE_BYTES);

/// The trampoline in memory. Empty where there is no room for it.
struct Trampoline {
  khocore::PhysRange place;
  TrampolineData* data = nullptr;
};

/// Writes the trampoline into unused RAM below 1 MiB, with tables of `levels` levels that lead to
/// the kernel's own at `tables`, for a CPU that gets `cr4`; CPU, stack and target are left to the
/// caller. No kernel preserves memory there, so a CPU that comes late overwrites nothing that was
/// handed over.
Trampoline WriteTrampoline(const base::BootInfo& info, unsigned levels, uint64_t tables,
                           uint64_t cr4);

extern "C" {
extern const uint8_t __started[];  ///< target of a started CPU; its stack is empty
/// Passes the trampoline in `page`, which must be executable, and returns with its CR4 and the
/// kernel's tables. FS and GS have no base, and TR is to be loaded anew.
void PassTrampoline(TrampolineData* data, uint64_t page);
}

}  // namespace arch

#endif  // __ASSEMBLER__
