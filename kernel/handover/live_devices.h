// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/devices.h"
#include "kernel/memory/page_allocator.h"
#include "khocore/types.h"

namespace handover {

/// Devices as a running Linux would leave them to its kexec: bus mastering on, virtio-mmio in use,
/// timers armed, interrupt lines open, interrupt controllers on. Every kernel switches them on
/// before it quiesces, so that each jump shows that they are switched off: the host reads it from
/// the machine at the next `entry`.
class LiveDevices {
 public:
  /// Switches them on. Tables that hardware reads come from `allocator`; this kernel gives them up.
  /// Announces a fault that is to leave one of them on, if there is one to leave.
  explicit LiveDevices(memory::PageAllocator& allocator);

  /// Switches off what could write to memory or interrupt the next kernel, DMA first, because MSIs
  /// are DMA. `kept` go on, and the next kernel takes them over. Prints a `quiesce` event for each
  /// kind; printing still works afterwards. Called on the only CPU that is left.
  void Quiesce(khocore::Span<const arch::PciFunction> kept) const;

 private:
  unsigned skipped_ = 0;  ///< a bit for each kind that a fault leaves on
};

}  // namespace handover
