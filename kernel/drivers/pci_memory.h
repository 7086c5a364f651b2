// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/devices.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace drivers {

/// Gives addresses to the memory BARs of all functions that have none, and windows to the bridges
/// above them, in the order of the buses, from `arch::FindPciMemory`. What has an address keeps it,
/// and so does all behind a bridge that has a window. Sizes are found by writing BARs, which no
/// device that is in use can stand; so this is for a machine's first kernel.
void AssignPciMemory();

/// Where the registers behind memory BAR number `bar` are. Reads only. Errors: `kNotFound` when
/// they are ports or have no address.
khocore::Result<khocore::PhysAddr> PciMemoryOf(arch::PciFunction function, unsigned bar);

/// Lets the CPU reach the function's registers and the function reach memory, through every bridge
/// above it.
void OpenPciFunction(arch::PciFunction function);

}  // namespace drivers
