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

/// Whether the CPU has VHE (HCR_EL2.E2H), and CNTHV_CTL_EL2, which came with it: a kernel that used
/// VHE has that timer under the name CNTV_CTL_EL0.
inline bool HasVhe() { return (KHORIG_READ_REGISTER(id_aa64mmfr1_el1) >> 8 & 0xf) != 0; }

inline void InstructionBarrier() { asm volatile("isb" ::: "memory"); }

/// Lets this CPU take SErrors: what a device or the memory reports late is an exception of the
/// kernel that caused it.
inline void UnmaskSystemErrors() { asm volatile("msr daifclr, #4" ::: "memory"); }

}  // namespace arch
