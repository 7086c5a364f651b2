// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/pci_memory.h"

#include "kernel/drivers/pci.h"
#include "kernel/drivers/pci_registers.h"

namespace drivers {

using arch::PciFunction;
using arch::ReadPciConfig;
using arch::WritePciConfig;
using khocore::AlignUp;
using khocore::Error;
using khocore::ErrorCode;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;

namespace {

using pci::kBar64;
using pci::kBarFlags;
using pci::kBarIsPorts;
using pci::kBars;
using pci::kBarTypeMask;
using pci::kBusMaster;
using pci::kBusNumbers;
using pci::kCommand;
using pci::kCommandMask;
using pci::kDecodeMemory;
using pci::kMemoryWindow;
using pci::Secondary;
using pci::Subordinate;

constexpr uint64_t kWindowGrain = 1 << 20;  // of a bridge
constexpr unsigned kDeviceBars = 6, kBridgeBars = 2;

struct Bar {
  unsigned offset;
  uint32_t flags;
  uint64_t address;  ///< 0 when it has none
  uint64_t size;     ///< 0 when it is not there, or larger than 4 GiB
};

bool Is64(uint32_t bar) { return (bar & kBarTypeMask) == kBar64; }

uint64_t AddressIn(PciFunction function, unsigned offset) {
  const uint32_t low = ReadPciConfig(function, offset);
  const uint64_t high = Is64(low) ? ReadPciConfig(function, offset + 4) : 0;
  return high << 32 | (low & ~kBarFlags);
}

/// The size is the lowest bit that can be written. Nothing decodes the BAR meanwhile.
uint64_t SizeOf(PciFunction function, unsigned offset) {
  const uint32_t command = ReadPciConfig(function, kCommand) & kCommandMask;
  WritePciConfig(function, kCommand, command & ~kDecodeMemory);
  const uint32_t value = ReadPciConfig(function, offset);
  WritePciConfig(function, offset, ~uint32_t{0});
  const uint32_t writable = ReadPciConfig(function, offset) & ~kBarFlags;
  WritePciConfig(function, offset, value);
  WritePciConfig(function, kCommand, command);
  return writable & -writable;
}

void ForEachMemoryBar(PciFunction function, khocore::FunctionRef<void(const Bar&)> visit) {
  const unsigned bars = IsBridge(function) ? kBridgeBars : kDeviceBars;
  for (unsigned i = 0; i < bars; ++i) {
    const unsigned offset = kBars + i * 4;
    const uint32_t value = ReadPciConfig(function, offset);
    if ((value & kBarIsPorts) != 0) continue;
    visit({offset, value & kBarFlags, AddressIn(function, offset), SizeOf(function, offset)});
    if (Is64(value)) ++i;
  }
}

/// A bridge's window, empty after a reset.
PhysRange WindowOf(PciFunction bridge) {
  const uint32_t value = ReadPciConfig(bridge, kMemoryWindow);
  const uint64_t begin = (value & 0xfff0) << 16, last = (value & 0xfff00000) | 0xfffff;
  if (begin == 0 || last < begin) return {};
  return {PhysAddr::FromRaw(begin), last + 1 - begin};
}

class Assignment {
 public:
  explicit Assignment(PhysRange memory) : memory_(memory), next_(memory.begin.raw()) {}

  void Assign() {
    ForEachPciFunction([this](PciFunction function) { SkipAssigned(function); });
    const arch::PciBuses buses = arch::FindPciBuses();
    for (unsigned bus = buses.first; bus < buses.first + buses.count;) bus = AssignBehind(bus) + 1;
  }

 private:
  /// What is assigned begins behind all that has been.
  void SkipAssigned(PciFunction function) {
    const auto skip = [this](PhysRange range) {
      if (range.size == 0 || !memory_.Overlaps(range)) return;
      if (next_ < range.end().raw()) next_ = range.end().raw();
    };
    ForEachMemoryBar(function, [&](const Bar& bar) {
      if (bar.address != 0) skip({PhysAddr::FromRaw(bar.address), bar.size});
    });
    if (IsBridge(function)) skip(WindowOf(function));
  }

  /// Returns the last bus behind `bus`.
  unsigned AssignBehind(unsigned bus) {
    unsigned last = bus;
    ForEachPciFunctionOf(bus, [&](PciFunction function) {
      ForEachMemoryBar(function, [&](const Bar& bar) {
        if (bar.address == 0 && bar.size != 0) AssignBar(function, bar);
      });
      if (!IsBridge(function)) return;
      const uint32_t numbers = ReadPciConfig(function, kBusNumbers);
      if (Secondary(numbers) <= bus) return;
      if (Subordinate(numbers) > last) last = Subordinate(numbers);
      if (WindowOf(function).size == 0) AssignWindow(function, Secondary(numbers));
    });
    return last;
  }

  void AssignBar(PciFunction function, const Bar& bar) {
    const uint64_t begin = AlignUp(next_, bar.size);
    if (begin + bar.size > memory_.end().raw()) return;
    next_ = begin + bar.size;
    WritePciConfig(function, bar.offset, static_cast<uint32_t>(begin) | bar.flags);
    if (Is64(bar.flags)) WritePciConfig(function, bar.offset + 4, 0);
  }

  void AssignWindow(PciFunction bridge, unsigned secondary) {
    const uint64_t before = next_, begin = AlignUp(next_, kWindowGrain);
    next_ = begin;
    AssignBehind(secondary);
    if (next_ == begin) {  // nothing is behind it
      next_ = before;
      return;
    }
    next_ = AlignUp(next_, kWindowGrain);
    const auto last = static_cast<uint32_t>(next_ - 1);
    WritePciConfig(bridge, kMemoryWindow, static_cast<uint32_t>(begin) >> 16 | (last & 0xfff00000));
  }

  PhysRange memory_;
  uint64_t next_;
};

}  // namespace

void AssignPciMemory() {
  NumberPciBuses();
  const PhysRange memory = arch::FindPciMemory();
  if (memory.size != 0) Assignment(memory).Assign();
}

Result<PhysAddr> PciMemoryOf(PciFunction function, unsigned bar) {
  const unsigned offset = kBars + bar * 4;
  const bool is_memory = (ReadPciConfig(function, offset) & kBarIsPorts) == 0;
  const uint64_t address = is_memory ? AddressIn(function, offset) : 0;
  if (address == 0) return Error{ErrorCode::kNotFound};
  return PhysAddr::FromRaw(address);
}

void OpenPciFunction(PciFunction function) {
  SetPciCommand(function, kDecodeMemory | kBusMaster);
  ForEachPciFunction([&](PciFunction bridge) {
    if (IsAbove(bridge, function)) SetPciCommand(bridge, kDecodeMemory | kBusMaster);
  });
}

}  // namespace drivers
