// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/pci.h"

#include <stdint.h>

#include "kernel/drivers/pci_registers.h"

namespace drivers {

using arch::PciBuses;
using arch::PciFunction;
using arch::ReadPciConfig;
using arch::WritePciConfig;

namespace {

constexpr unsigned kMaxBuses = 256;
constexpr unsigned kFunctions = 8;

using pci::kBridgeLayout;
using pci::kBusMaster;
using pci::kBusNumbers;
using pci::kCommand;
using pci::kCommandMask;
using pci::kHeader;
using pci::kId;
using pci::kLayoutMask;
using pci::kMultifunction;
using pci::Secondary;
using pci::Subordinate;

constexpr uint32_t kVendorMask = 0xffff;

using Visit = khocore::FunctionRef<void(PciFunction)>;

bool Exists(PciFunction function) {
  return (ReadPciConfig(function, kId) & kVendorMask) != kVendorMask;
}

/// Numbers the buses behind bridges in depth-first order, as Linux does.
class BusNumbers {
 public:
  void Assign() {
    const PciBuses buses = arch::FindPciBuses();
    end_ = buses.first + buses.count;
    for (unsigned bus = buses.first; bus < end_; ++bus) {
      ForEachPciFunctionOf(bus, [&](PciFunction) { used_[bus] = true; });
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
    ForEachPciFunctionOf(bus, [&](PciFunction function) {
      if (!IsBridge(function)) return;
      const uint32_t numbers = ReadPciConfig(function, kBusNumbers);
      const unsigned secondary = Secondary(numbers), subordinate = Subordinate(numbers);
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

bool IsSame(PciFunction one, PciFunction other) {
  return one.bus == other.bus && one.device == other.device && one.function == other.function;
}

bool IsKept(PciFunction function, khocore::Span<const PciFunction> kept) {
  for (const PciFunction& each : kept) {
    if (IsSame(function, each) || IsAbove(function, each)) return true;
  }
  return false;
}

}  // namespace

bool IsBridge(PciFunction function) {
  return (ReadPciConfig(function, kHeader) & kLayoutMask) == kBridgeLayout;
}

void ForEachPciFunctionOf(unsigned bus, Visit visit) {
  for (uint32_t devices = arch::FindPciDevices(bus); devices != 0; devices &= devices - 1) {
    const auto device = static_cast<unsigned>(__builtin_ctz(devices));
    const bool several = (ReadPciConfig({bus, device, 0}, kHeader) & kMultifunction) != 0;
    for (unsigned number = 0; number < (several ? kFunctions : 1); ++number) {
      if (Exists({bus, device, number})) visit({bus, device, number});
    }
  }
}

bool IsAbove(PciFunction bridge, PciFunction function) {
  if (!IsBridge(bridge)) return false;
  const uint32_t numbers = ReadPciConfig(bridge, kBusNumbers);
  return Secondary(numbers) <= function.bus && function.bus <= Subordinate(numbers);
}

void ForEachPciFunctionBelow(unsigned bus, Visit visit) {
  if (arch::FindPciBuses().count == 0) return;
  ForEachPciFunctionOf(bus, [&](PciFunction function) {
    visit(function);
    if (!IsBridge(function)) return;
    const unsigned behind = Secondary(ReadPciConfig(function, kBusNumbers));
    if (behind > bus) ForEachPciFunctionBelow(behind, visit);
  });
}

void SetPciCommand(PciFunction function, uint32_t bits) {
  const uint32_t command = ReadPciConfig(function, kCommand) & kCommandMask;
  if ((command & bits) != bits) WritePciConfig(function, kCommand, command | bits);
}

bool FindPciFunction(uint32_t id, PciFunction* found) {
  bool has_found = false;
  ForEachPciFunction([&](PciFunction function) {
    if (has_found || ReadPciConfig(function, kId) != id) return;
    *found = function;
    has_found = true;
  });
  return has_found;
}

void NumberPciBuses() { BusNumbers().Assign(); }

void ForEachPciFunction(Visit visit) {
  const PciBuses buses = arch::FindPciBuses();
  for (unsigned i = 0; i < buses.count; ++i) ForEachPciFunctionOf(buses.first + i, visit);
}

unsigned StopBusMasters(khocore::Span<const PciFunction> kept) {
  unsigned masters = 0;
  ForEachPciFunction([&](PciFunction function) {
    if (IsKept(function, kept)) return;
    const uint32_t command = ReadPciConfig(function, kCommand) & kCommandMask;
    if ((command & kBusMaster) == 0) return;
    WritePciConfig(function, kCommand, command & ~kBusMaster);
    ++masters;
  });
  return masters;
}

unsigned StartBusMasters(Visit visit) {
  NumberPciBuses();
  unsigned functions = 0;
  ForEachPciFunction([&](PciFunction function) {
    SetPciCommand(function, kBusMaster);
    visit(function);
    ++functions;
  });
  return functions;
}

}  // namespace drivers
