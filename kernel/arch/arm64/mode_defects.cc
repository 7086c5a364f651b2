// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/mode_defects.h"

namespace arch {

bool SpoilMode(ModeDefect) { return false; }
const volatile uint64_t* UnmaskedTable() { return nullptr; }

}  // namespace arch
