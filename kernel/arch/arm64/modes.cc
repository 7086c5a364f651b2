// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/modes.h"

namespace arch {

TableLevels ReadTableLevels() { return {}; }
bool SwitchTableLevels(unsigned, const base::BootInfo&) { return false; }
void EnableProtections() {}

}  // namespace arch
