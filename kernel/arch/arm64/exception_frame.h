// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Read by exceptions_asm.S, too, which takes the offsets.
#define FRAME_X 0
#define FRAME_SP 248
#define FRAME_ELR 256
#define FRAME_ESR 272
#define FRAME_VECTOR 288
#define FRAME_BYTES 304

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

namespace arch {

/// Written by exceptions_asm.S, in pairs: what it has no offset for follows what it has.
struct ExceptionFrame {
  uint64_t x[31];
  uint64_t sp;
  uint64_t elr;
  uint64_t spsr;
  uint64_t esr;
  uint64_t far;
  uint64_t vector;  ///< 0 to 15, in the order of the vector table
  uint64_t reserved;
};
static_assert(offsetof(ExceptionFrame, x) == FRAME_X);
static_assert(offsetof(ExceptionFrame, sp) == FRAME_SP && FRAME_SP == FRAME_X + 31 * 8);
static_assert(offsetof(ExceptionFrame, elr) == FRAME_ELR);
static_assert(offsetof(ExceptionFrame, spsr) == FRAME_ELR + 8);
static_assert(offsetof(ExceptionFrame, esr) == FRAME_ESR);
static_assert(offsetof(ExceptionFrame, far) == FRAME_ESR + 8);
static_assert(offsetof(ExceptionFrame, vector) == FRAME_VECTOR);
static_assert(sizeof(ExceptionFrame) == FRAME_BYTES);

}  // namespace arch

#endif  // __ASSEMBLER__
