// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Read by trampoline.S, too, which takes the offsets.
#define TRAMPOLINE_LONG_MODE 0
#define TRAMPOLINE_GDT_LIMIT 6
#define TRAMPOLINE_ROOT 12
#define TRAMPOLINE_CR4 16
#define TRAMPOLINE_EFER 20
#define TRAMPOLINE_CPU 24
#define TRAMPOLINE_TABLES 32
#define TRAMPOLINE_STACK 40
#define TRAMPOLINE_BYTES 48

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

namespace arch {

/// What trampoline.S finds at its end, in the page it was copied to. The code's selector and the
/// GDT's limit are its own.
struct TrampolineData {
  uint32_t long_mode;  ///< physical address of `__trampoline_long_mode`, then its selector
  uint16_t code_selector;
  uint16_t gdt_limit;
  uint32_t gdt;   ///< physical address of `__trampoline_gdt`
  uint32_t root;  ///< of the trampoline's own page tables
  uint32_t cr4;
  uint32_t efer;
  uint64_t cpu;     ///< the `CpuLocal` of the CPU that starts next
  uint64_t tables;  ///< CR3 of the kernel
  uint64_t stack;   ///< where that CPU's stack ends
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
static_assert(sizeof(TrampolineData) == TRAMPOLINE_BYTES);

extern "C" {
extern const uint8_t __trampoline_begin[];
extern const uint8_t __trampoline_long_mode[];
extern const uint8_t __trampoline_gdt[];
extern const uint8_t __trampoline_data[];
extern const uint8_t __trampoline_end[];
}

}  // namespace arch

#endif  // __ASSEMBLER__
