// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/devices.h"

#include "kernel/arch/arm64/machine.h"
#include "kernel/arch/arm64/mmio.h"
#include "kernel/arch/mmu.h"

namespace arch {

using khocore::PhysAddr;
using khocore::PhysRange;

namespace {

// PCI Express base specification 5.0, 7.2.2 (ECAM).
constexpr uint64_t kBusBytes = 1 << 20;
constexpr uint64_t kDeviceBytes = 1 << 15;
constexpr uint64_t kFunctionBytes = 1 << 12;
constexpr unsigned kMaxBuses = 256;
constexpr uint32_t kNoVendor = 0xffff;

PhysAddr Registers(PciFunction function) {
  const unsigned bus = function.bus - this_machine.pci_first_bus;
  return this_machine.pci.begin + bus * kBusBytes + function.device * kDeviceBytes +
         function.function * kFunctionBytes;
}

}  // namespace

uint32_t ReadDevice(PhysAddr address) { return ReadMmio32(address); }
void WriteDevice(PhysAddr address, uint32_t value) { WriteMmio32(address, value); }

PciBuses FindPciBuses() {
  const Machine& machine = this_machine;
  const uint64_t limit = kMaxBuses - machine.pci_first_bus;
  const uint64_t there = machine.pci.size / kBusBytes;
  const auto count = static_cast<unsigned>(there < limit ? there : limit);
  if (count == 0 || !MapDevice({machine.pci.begin, count * kBusBytes}).ok()) return {};
  return {machine.pci_first_bus, count};
}

uint32_t FindPciDevices(unsigned bus) {
  PhysAddr id = Registers({bus, 0, 0});
  uint32_t found = 0;
  for (uint32_t bit = 1; bit != 0; bit <<= 1, id = id + kDeviceBytes) {
    if ((ReadMmio32(id) & kNoVendor) != kNoVendor) found |= bit;
  }
  return found;
}

uint32_t ReadPciConfig(PciFunction function, unsigned offset) {
  return ReadMmio32(Registers(function) + offset);
}

void WritePciConfig(PciFunction function, unsigned offset, uint32_t value) {
  WriteMmio32(Registers(function) + offset, value);
}

PhysRange FindPciMemory() { return this_machine.pci_memory; }

IommuPlace FindIommu(const base::BootInfo&) {
  if (this_machine.smmu.size == 0) return {};
  return {IommuKind::kSmmuV3, this_machine.smmu.begin};
}

void PublishToDevices() { asm volatile("dsb sy" ::: "memory"); }

uint8_t ReadPciConfigByte(PciFunction function, unsigned offset) {
  return ReadMmio8(Registers(function) + offset);
}

void WritePciConfigByte(PciFunction function, unsigned offset, uint8_t value) {
  WriteMmio8(Registers(function) + offset, value);
}

void WritePciConfigWord(PciFunction function, unsigned offset, uint16_t value) {
  WriteMmio16(Registers(function) + offset, value);
}

void ForEachVirtioTransport(khocore::FunctionRef<void(PhysAddr)> visit) {
  for (size_t i = 0; i < this_machine.virtio_count; ++i) {
    const PhysRange registers = this_machine.virtio[i];
    if (MapDevice(registers).ok()) visit(registers.begin);
  }
}

}  // namespace arch
