// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/devices.h"
#include "khocore/function_ref.h"

namespace drivers {

// PCI local bus specification 3.0, 6.1 and 6.2; PCI-to-PCI bridge architecture 1.2, 3.2.

/// Calls `visit` for each PCI function there is: on every bus, since an extra root bus hangs from
/// nothing. Functions behind a bridge without bus numbers cannot be reached, nor reach memory.
void ForEachPciFunction(khocore::FunctionRef<void(arch::PciFunction)> visit);

/// Takes bus mastering from every function, so that none can write to memory or send an MSI.
/// Returns how many had it.
unsigned StopBusMasters();

/// The reverse, for the rig: numbers the buses behind bridges that firmware has not numbered, and
/// gives bus mastering to every function. Returns how many functions there are.
unsigned StartBusMasters();

}  // namespace drivers
