// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/arch/devices.h"
#include "khocore/function_ref.h"
#include "khocore/types.h"

namespace drivers {

// PCI local bus specification 3.0, 6.1 and 6.2; PCI-to-PCI bridge architecture 1.2, 3.2.

/// Calls `visit` for each PCI function there is: on every bus, since an extra root bus hangs from
/// nothing. Functions behind a bridge without bus numbers cannot be reached, nor reach memory.
void ForEachPciFunction(khocore::FunctionRef<void(arch::PciFunction)> visit);

/// The same on one bus.
void ForEachPciFunctionOf(unsigned bus, khocore::FunctionRef<void(arch::PciFunction)> visit);
/// The same on `bus` and, through bridges that have numbers, on all buses below it.
void ForEachPciFunctionBelow(unsigned bus, khocore::FunctionRef<void(arch::PciFunction)> visit);
bool IsBridge(arch::PciFunction function);
/// Whether `bridge` is one between a root bus and `function`.
bool IsAbove(arch::PciFunction bridge, arch::PciFunction function);
/// The first function of `id`: the device in the upper half, the vendor in the lower. False when
/// there is none on the buses that have numbers.
bool FindPciFunction(uint32_t id, arch::PciFunction* found);
/// Numbers the buses behind bridges that firmware has not numbered.
void NumberPciBuses();
/// Sets bits of the command register, and writes nothing when they are set.
void SetPciCommand(arch::PciFunction function, uint32_t bits);

/// Takes bus mastering from every function, so that none can write to memory or send an MSI, but
/// from `kept` and the bridges above them. Returns how many had it and lost it.
unsigned StopBusMasters(khocore::Span<const arch::PciFunction> kept);

/// The reverse, for the rig: numbers the buses and gives bus mastering to every function. Calls
/// `visit` for each, and returns how many there are.
unsigned StartBusMasters(khocore::FunctionRef<void(arch::PciFunction)> visit);

}  // namespace drivers
