// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/jump_defects.h"

namespace arch {

bool SpoilTables(const JumpPlan&, khocore::PhysAddr, TableDefect) { return false; }
bool SpoilEntry(const JumpPlan&, EntryDefect, khocore::PageSource&) { return false; }
bool SpoilFirmwareCall() { return false; }

}  // namespace arch
