// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace arch {

/// What trampoline.S finds at its end, in the page it was copied to.
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
static_assert(sizeof(TrampolineData) == 48);
static_assert(offsetof(TrampolineData, cpu) == 24);

extern "C" {
extern const uint8_t __trampoline_begin[];
extern const uint8_t __trampoline_long_mode[];
extern const uint8_t __trampoline_gdt[];
extern const uint8_t __trampoline_data[];
extern const uint8_t __trampoline_end[];
}

}  // namespace arch
