// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/pci.h"

#include "kernel/arch/arm64/mmio.h"
#include "kernel/arch/mmu.h"

// PCI Express base specification, 7.2.2 (ECAM); PCI local bus specification, 6.1 and 6.2.

namespace arch {

using khocore::PhysAddr;
using khocore::PhysRange;

namespace {

constexpr unsigned kBuses = 256;
constexpr unsigned kDevices = 32;
constexpr unsigned kFunctions = 8;
constexpr uint64_t kBusBytes = 1 << 20;
constexpr uint64_t kDeviceBytes = 1 << 15;
constexpr uint64_t kFunctionBytes = 1 << 12;

constexpr uint64_t kVendor = 0x00;
constexpr uint64_t kCommand = 0x04;  // status in the upper half, where writing 0 changes nothing
constexpr uint64_t kHeaderType = 0x0c;
constexpr uint64_t kBusNumbers = 0x18;
constexpr uint32_t kNobody = 0xffff;
constexpr uint32_t kBusMaster = 1 << 2;
constexpr uint32_t kCommandMask = 0xffff;
constexpr uint32_t kMultifunction = 0x80;
constexpr uint32_t kBridge = 1;

/// The buses that are still to be looked at, each at most once however bridges are wired.
class BusSet {
 public:
  void Add(unsigned bus) {
    if (bus < kBuses && !seen_[bus]) seen_[bus] = waiting_[bus] = true;
  }
  bool Take(unsigned* bus) {
    for (unsigned i = 0; i < kBuses; ++i) {
      if (!waiting_[i]) continue;
      waiting_[i] = false;
      *bus = i;
      return true;
    }
    return false;
  }

 private:
  bool seen_[kBuses] = {};
  bool waiting_[kBuses] = {};
};

/// Switches one function off; 1 when it was a master.
unsigned StopFunction(PhysAddr function, uint32_t header_type, BusSet* buses) {
  const uint32_t command = ReadMmio32(function + kCommand) & kCommandMask;
  if ((command & kBusMaster) != 0) WriteMmio32(function + kCommand, command & ~kBusMaster);
  if ((header_type & ~kMultifunction) == kBridge) {
    buses->Add(ReadMmio32(function + kBusNumbers) >> 8 & 0xff);  // the bus behind it
  }
  return (command & kBusMaster) != 0 ? 1 : 0;
}

unsigned StopBus(PhysAddr bus, BusSet* buses) {
  unsigned masters = 0;
  for (unsigned device = 0; device < kDevices; ++device) {
    for (unsigned number = 0; number < kFunctions; ++number) {
      const PhysAddr function = bus + device * kDeviceBytes + number * kFunctionBytes;
      if ((ReadMmio32(function + kVendor) & kNobody) == kNobody) {
        if (number == 0) break;
        continue;
      }
      const uint32_t header_type = ReadMmio32(function + kHeaderType) >> 16 & 0xff;
      masters += StopFunction(function, header_type, buses);
      if (number == 0 && (header_type & kMultifunction) == 0) break;
    }
  }
  return masters;
}

}  // namespace

unsigned StopPciBusMastering(const Machine& machine) {
  BusSet buses;
  if (machine.pci.size != 0) buses.Add(machine.pci_first_bus);
  unsigned masters = 0;
  unsigned bus = 0;
  while (buses.Take(&bus)) {
    if (bus < machine.pci_first_bus) continue;
    const PhysRange registers{machine.pci.begin + (bus - machine.pci_first_bus) * kBusBytes,
                              kBusBytes};
    if (!machine.pci.Contains(registers) || !MapDevice(registers).ok()) continue;
    masters += StopBus(registers.begin, &buses);
  }
  return masters;
}

}  // namespace arch
