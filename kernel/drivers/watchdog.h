// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/devices.h"

namespace drivers {

// The watchdog of Intel's 6300ESB (data sheet 300641, chapter 15), by its configuration space
// alone.

/// Whether the function is one.
bool IsWatchdog(arch::PciFunction function);
/// Whether it counts.
bool IsWatchdogArmed(arch::PciFunction function);
/// Stops it; 1 when it counted.
unsigned StopWatchdog(arch::PciFunction function);
/// The reverse, for the rig: it resets the machine two seconds from now, the shortest time with
/// preload registers as they are after a reset.
void ArmWatchdog(arch::PciFunction function);

}  // namespace drivers
