// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/base/boot_info.h"
#include "khocore/function_ref.h"
#include "khocore/types.h"

namespace arch {

// What drivers (kernel/drivers/) need of the machine.

/// Accesses a 32-bit device register at an address that `MapDevice` or a function below has mapped.
uint32_t ReadDevice(khocore::PhysAddr address);
void WriteDevice(khocore::PhysAddr address, uint32_t value);

/// Where a PCI function is.
struct PciFunction {
  unsigned bus;
  unsigned device;
  unsigned function;
};

/// The buses whose configuration space can be reached, those of extra root buses included.
struct PciBuses {
  unsigned first;
  unsigned count;  ///< 0 where there is no PCI
};
PciBuses FindPciBuses();
/// A bit for each device on one of these buses. Most buses are empty, so this is what a scan of all
/// spends its time on.
uint32_t FindPciDevices(unsigned bus);
/// Accesses the register at `offset`, a multiple of 4, of the configuration space of a function on
/// one of `FindPciBuses`. Reads all ones where there is no function.
uint32_t ReadPciConfig(PciFunction function, unsigned offset);
void WritePciConfig(PciFunction function, unsigned offset, uint32_t value);
/// The same with 8 and 16 bits, for registers that take no other access.
uint8_t ReadPciConfigByte(PciFunction function, unsigned offset);
void WritePciConfigByte(PciFunction function, unsigned offset, uint8_t value);
void WritePciConfigWord(PciFunction function, unsigned offset, uint16_t value);

/// Addresses that memory BARs may be given, the same for the CPU and on the bus. Empty where
/// firmware gives every BAR its address.
khocore::PhysRange FindPciMemory();

/// The IOMMU that PCI functions are behind.
enum class IommuKind : uint8_t { kNone, kVtd, kSmmuV3 };
struct IommuPlace {
  IommuKind kind = IommuKind::kNone;
  khocore::PhysAddr registers;
};
/// The first that firmware's tables name, of the kind that this architecture has.
IommuPlace FindIommu(const base::BootInfo& info);
/// What was written to RAM before is seen by devices that look after it.
void PublishToDevices();

/// Calls `visit` with the registers of each place for a virtio-mmio device. Most are empty.
void ForEachVirtioTransport(khocore::FunctionRef<void(khocore::PhysAddr registers)> visit);

}  // namespace arch
