// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/live_devices.h"

#include <string.h>

#include "kernel/arch/quiesce.h"
#include "kernel/base/direct_map.h"
#include "kernel/cpus/cpus.h"
#include "kernel/drivers/pci.h"
#include "kernel/drivers/virtio_mmio.h"
#include "kernel/handover/points.h"
#include "kernel/rig/event.h"

namespace handover {
namespace {

using khocore::Order;
using khocore::PhysRange;
using Kept = khocore::Span<const arch::PciFunction>;

/// One row a kind, in the order in which they are switched off.
constexpr struct {
  const char* what;
  bool (*start)(PhysRange tables);  ///< in reverse order; false when there is nothing to start
  unsigned (*stop)(Kept kept);      ///< returns how many were on
} kKinds[] = {
    {"bus masters", [](PhysRange) { return drivers::StartBusMasters() != 0; },
     drivers::StopBusMasters},
    {"virtio devices", [](PhysRange) { return drivers::StartVirtioDevices() != 0; },
     [](Kept) { return drivers::StopVirtioDevices(); }},
    {"timers",
     [](PhysRange) {
       arch::StartTimers();
       return true;
     },
     [](Kept) { return arch::StopTimers(); }},
    {"interrupt lines",
     [](PhysRange) {
       arch::StartInterruptLines();
       return true;
     },
     [](Kept) { return arch::StopInterruptLines(); }},
    {"interrupt controllers",
     [](PhysRange tables) {
       arch::StartInterruptControllers(tables);
       return true;
     },
     [](Kept) { return arch::StopInterruptControllers(); }},
};
constexpr unsigned kKindCount = sizeof(kKinds) / sizeof(kKinds[0]);

/// Empty when none are needed or there is no memory: what needs tables stays off.
PhysRange AllocateInterruptTables(memory::PageAllocator& allocator) {
  const uint64_t bytes = arch::InterruptTableBytes(cpus::CpuCount());
  if (bytes == 0) return {};
  unsigned order = 0;
  while (Order::FromLog2(order).bytes() < bytes) ++order;
  const auto block = allocator.Allocate(Order::FromLog2(order));
  if (!block.ok()) return {};
  memset(base::Direct<void>(block.value().address()), 0, bytes);
  return {block.value().address(), bytes};
}

}  // namespace

LiveDevices::LiveDevices(memory::PageAllocator& allocator) {
  arch::DisableInterrupts();
  const PhysRange tables = AllocateInterruptTables(allocator);
  for (unsigned i = kKindCount; i-- != 0;) {
    if (!kKinds[i].start(tables)) continue;
    StartedDevice started{.kind = kKinds[i].what};
    rig::At<rig::Point::kDeviceStarted>(started);
    if (started.left_on) skipped_ |= 1u << i;
  }
}

void LiveDevices::Quiesce(Kept kept) const {
  arch::DisableInterrupts();
  for (unsigned i = 0; i < kKindCount; ++i) {
    if ((skipped_ >> i & 1) != 0) continue;
    const unsigned count = kKinds[i].stop(kept);
    rig::Event("quiesce").Text("what", kKinds[i].what).Number("count", count);
  }
}

}  // namespace handover
