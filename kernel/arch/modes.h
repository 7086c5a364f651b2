// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/boot_info.h"

/// Modes of the CPU that a kernel chooses for itself, whatever mode it was entered in.

namespace arch {

/// How many levels the page tables have: in use, and at most on this CPU. 0 where the architecture
/// leaves no choice.
struct TableLevels {
  unsigned used;
  unsigned most;
};
TableLevels ReadTableLevels();

/// Goes on with page tables of `levels` levels, at most `ReadTableLevels().most`, that map what the
/// present ones map. Writes to the image and to unused RAM below 1 MiB, which no kernel preserves.
/// For the CPU that booted, once, before it starts others: those start with the same number. False,
/// with nothing changed, when there is no such RAM or no page of tables left.
bool SwitchTableLevels(unsigned levels, const base::BootInfo& info);

/// Switches on what the CPU has to protect a kernel from itself. For the CPU that booted, before it
/// starts others: those start with the same.
void EnableProtections();

}  // namespace arch
