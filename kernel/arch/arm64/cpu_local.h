// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Read by assembly, too, which takes the offsets.
#define CPU_NUMBER 0
#define CPU_EXCEPTION_STACK 8
#define CPU_STACK 16
#define CPU_START_TABLE 24
#define CPU_TABLE 32
#define CPU_VECTORS 40

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

namespace arch {

/// What a started CPU has for itself; TPIDR_EL1 points to it. The first CPU has none.
struct CpuLocal {
  uint64_t number;
  uint64_t exception_stack;  ///< where it ends, as the next
  uint64_t stack;
  uint64_t start_table;  ///< on which it turns its MMU on
  uint64_t table;        ///< of the kernel
  uint64_t vectors;
  void (*entry)(size_t number);
};
static_assert(offsetof(CpuLocal, number) == CPU_NUMBER);
static_assert(offsetof(CpuLocal, exception_stack) == CPU_EXCEPTION_STACK);
static_assert(offsetof(CpuLocal, stack) == CPU_STACK);
static_assert(offsetof(CpuLocal, start_table) == CPU_START_TABLE);
static_assert(offsetof(CpuLocal, table) == CPU_TABLE);
static_assert(offsetof(CpuLocal, vectors) == CPU_VECTORS);

}  // namespace arch

#endif  // __ASSEMBLER__
