// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

/// What faults do to the modes of the CPU that runs them (modes.h).

namespace arch {

/// What a kernel can leave off.
enum class ModeDefect {
  kSupervisorExecution,  ///< that it executes no page of programs (SMEP)
  kWriteProtection,      ///< that rights of pages bind it (CR0.WP)
};
/// False where the CPU has nothing of the kind.
bool SpoilMode(ModeDefect defect);

/// Where Linux before eb2266312507 reads the table of four levels, when it is entered with five and
/// wants four: the whole entry of the predecessor's topmost table less its low 12 bits. Null where
/// this kernel was not entered with five levels.
const volatile uint64_t* UnmaskedTable();

}  // namespace arch
