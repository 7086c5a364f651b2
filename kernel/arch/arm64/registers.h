// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

/// Reads the system register `name`.
#define KHORIG_READ_REGISTER(name)                                 \
  ({                                                               \
    uint64_t khorig_value;                                         \
    asm volatile("mrs %0, " #name : "=r"(khorig_value)::"memory"); \
    khorig_value;                                                  \
  })
/// Writes the system register `name`.
#define KHORIG_WRITE_REGISTER(name, value) \
  asm volatile("msr " #name ", %0" ::"r"(static_cast<uint64_t>(value)) : "memory")

namespace arch {

/// Whether the kernel runs at EL2, without VHE; else it runs at EL1.
inline bool AtEl2() { return KHORIG_READ_REGISTER(CurrentEL) == 2 << 2; }

inline void InstructionBarrier() { asm volatile("isb" ::: "memory"); }

/// Lets this CPU take SErrors: what a device or the memory reports late is an exception of the
/// kernel that caused it.
inline void UnmaskSystemErrors() { asm volatile("msr daifclr, #4" ::: "memory"); }

}  // namespace arch
