// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/devices.h"

namespace arch {

// A process has no devices of its own.
uint32_t ReadDevice(khocore::PhysAddr) { return 0; }
void WriteDevice(khocore::PhysAddr, uint32_t) {}
PciBuses FindPciBuses() { return {}; }
uint32_t FindPciDevices(unsigned) { return 0; }
uint32_t ReadPciConfig(PciFunction, unsigned) { return ~uint32_t{0}; }
void WritePciConfig(PciFunction, unsigned, uint32_t) {}
khocore::PhysRange FindPciMemory() { return {}; }
IommuPlace FindIommu(const base::BootInfo&) { return {}; }
void PublishToDevices() {}
uint8_t ReadPciConfigByte(PciFunction, unsigned) { return 0xff; }
void WritePciConfigByte(PciFunction, unsigned, uint8_t) {}
void WritePciConfigWord(PciFunction, unsigned, uint16_t) {}
void ForEachVirtioTransport(khocore::FunctionRef<void(khocore::PhysAddr)>) {}

}  // namespace arch
