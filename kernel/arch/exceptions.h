// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace arch {

/// Routes every exception to a register dump, a symbolized backtrace and `ExitStatus::kPanic`.
void InstallExceptionHandlers();
/// Calls `visit(return address)` for each frame from the caller on, at most `limit`, stopping at
/// the first frame pointer outside the CPU's stack.
void WalkStack(uint64_t frame_pointer, unsigned limit, void (*visit)(uint64_t pc));

}  // namespace arch
