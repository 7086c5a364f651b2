// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace arch {

/// What exceptions_asm.S pushes, from the lowest address on.
struct Registers {
  uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
  uint64_t vector;
  uint64_t error_code;  ///< 0 where the CPU pushes none
  uint64_t rip, cs, rflags, rsp, ss;
};
static_assert(sizeof(Registers) == 22 * sizeof(uint64_t));

inline constexpr unsigned kExceptionVectors = 32;
inline constexpr size_t kExceptionStubBytes = 16;

/// Called by the stubs; ends in a panic.
extern "C" [[noreturn]] void HandleException(const Registers* registers);

}  // namespace arch
