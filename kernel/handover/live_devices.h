// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/devices.h"
#include "kernel/drivers/edu.h"
#include "kernel/handover/outgoing.h"
#include "khocore/types.h"

namespace handover {

/// PCI functions of one kind. Those beyond its room stay off.
class PciFunctions {
 public:
  void Add(arch::PciFunction function) {
    if (count_ < kMost) all_[count_++] = function;
  }
  const arch::PciFunction* begin() const { return all_; }
  const arch::PciFunction* end() const { return all_ + count_; }

 private:
  static constexpr unsigned kMost = 16;
  arch::PciFunction all_[kMost] = {};
  unsigned count_ = 0;
};

/// Devices as a running Linux would leave them to its kexec: virtio devices in use with buffers
/// posted, watchdogs counting, DMA in flight, bus mastering on, the console's interrupt asserted,
/// timers armed, interrupt lines open, interrupt controllers on. Every kernel switches them on
/// before it quiesces, so that each jump shows that they are switched off: the host reads it from
/// the machine at the next `entry`.
class LiveDevices {
 public:
  /// Switches them on. What hardware reads or writes lies in pages that this kernel gives up.
  /// Announces a fault that is to leave one of them on, if there is one to leave.
  explicit LiveDevices(Outgoing& outgoing);

  /// Switches off what could write to memory or interrupt the next kernel, DMA first, because MSIs
  /// are DMA. `kept` go on, and the next kernel takes them over. Prints a `quiesce` event for each
  /// kind; printing still works afterwards. Called on the only CPU that is left.
  void Quiesce(khocore::Span<const arch::PciFunction> kept) const;

  /// What each kind's functions get.
  struct Devices {
    memory::PageAllocator& allocator;
    khocore::PhysAddr buffer;  ///< see DevicePlan
    bool keeps_device;         ///< one works on across the jump
    PciFunctions virtio{};
    PciFunctions watchdogs{};
    drivers::Edu edu{};
    bool has_edu = false;
    bool in_flight = false;  ///< a transfer of `edu`
  };

 private:
  Devices devices_;
  unsigned skipped_ = 0;  ///< a bit for each kind that a fault leaves on
};

}  // namespace handover
