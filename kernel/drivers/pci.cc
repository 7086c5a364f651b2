// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/pci.h"

#include <stdint.h>

namespace drivers {

using arch::PciBuses;
using arch::PciFunction;
using arch::ReadPciConfig;
using arch::WritePciConfig;

namespace {

constexpr unsigned kMaxBuses = 256;
constexpr unsigned kFunctions = 8;

constexpr unsigned kId = 0x00;
constexpr unsigned kCommand = 0x04;  // status in the upper half, where writing 0 changes nothing
constexpr unsigned kHeader = 0x0c;
constexpr unsigned kBusNumbers = 0x18;

constexpr uint32_t kVendorMask = 0xffff;
constexpr uint32_t kCommandMask = 0xffff;
constexpr uint32_t kBusMaster = 1 << 2;
constexpr uint32_t kMultifunction = 1 << 23;
constexpr uint32_t kLayoutMask = 0x7f << 16;
constexpr uint32_t kBridgeLayout = 1 << 16;

using Visit = khocore::FunctionRef<void(PciFunction)>;

bool Exists(PciFunction function) {
  return (ReadPciConfig(function, kId) & kVendorMask) != kVendorMask;
}

void ForEachFunctionOf(unsigned bus, Visit visit) {
  for (uint32_t devices = arch::FindPciDevices(bus); devices != 0; devices &= devices - 1) {
    const auto device = static_cast<unsigned>(__builtin_ctz(devices));
    const bool several = (ReadPciConfig({bus, device, 0}, kHeader) & kMultifunction) != 0;
    for (unsigned number = 0; number < (several ? kFunctions : 1); ++number) {
      if (Exists({bus, device, number})) visit({bus, device, number});
    }
  }
}

/// Numbers the buses behind bridges in depth-first order, as Linux does.
class BusNumbers {
 public:
  void Assign() {
    const PciBuses buses = arch::FindPciBuses();
    end_ = buses.first + buses.count;
    for (unsigned bus = buses.first; bus < end_; ++bus) {
      ForEachFunctionOf(bus, [&](PciFunction) { used_[bus] = true; });
    }
    // A bus behind a bridge is numbered after its parent, so the roots are those not yet seen.
    for (unsigned bus = buses.first; bus < end_; ++bus) {
      if (used_[bus]) bus = NumberBehind(bus);
    }
  }

 private:
  /// Returns the last bus behind `bus`.
  unsigned NumberBehind(unsigned bus) {
    unsigned last = bus;
    ForEachFunctionOf(bus, [&](PciFunction function) {
      if ((ReadPciConfig(function, kHeader) & kLayoutMask) != kBridgeLayout) return;
      const uint32_t numbers = ReadPciConfig(function, kBusNumbers);
      const unsigned secondary = numbers >> 8 & 0xff, subordinate = numbers >> 16 & 0xff;
      if (secondary != 0) {
        last = subordinate > last ? subordinate : last;
        return;
      }
      const unsigned next = last + 1;
      if (next >= end_ || used_[next]) return;
      // Until all behind it are numbered, the bridge forwards to every number.
      const uint32_t latency = numbers & 0xff000000;
      WritePciConfig(function, kBusNumbers, latency | 0xff << 16 | next << 8 | bus);
      last = NumberBehind(next);
      WritePciConfig(function, kBusNumbers, latency | last << 16 | next << 8 | bus);
    });
    return last;
  }

  unsigned end_ = 0;
  bool used_[kMaxBuses] = {};
};

}  // namespace

void ForEachPciFunction(Visit visit) {
  const PciBuses buses = arch::FindPciBuses();
  for (unsigned i = 0; i < buses.count; ++i) ForEachFunctionOf(buses.first + i, visit);
}

unsigned StopBusMasters() {
  unsigned masters = 0;
  ForEachPciFunction([&](PciFunction function) {
    const uint32_t command = ReadPciConfig(function, kCommand) & kCommandMask;
    if ((command & kBusMaster) == 0) return;
    WritePciConfig(function, kCommand, command & ~kBusMaster);
    ++masters;
  });
  return masters;
}

unsigned StartBusMasters() {
  BusNumbers().Assign();
  unsigned functions = 0;
  ForEachPciFunction([&](PciFunction function) {
    const uint32_t command = ReadPciConfig(function, kCommand) & kCommandMask;
    WritePciConfig(function, kCommand, command | kBusMaster);
    ++functions;
  });
  return functions;
}

}  // namespace drivers
