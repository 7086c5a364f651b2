// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/live_devices.h"

#include <string.h>

#include "kernel/arch/console.h"
#include "kernel/arch/quiesce.h"
#include "kernel/base/direct_map.h"
#include "kernel/cpus/cpus.h"
#include "kernel/drivers/pci.h"
#include "kernel/drivers/virtio_mmio.h"
#include "kernel/drivers/virtio_pci.h"
#include "kernel/drivers/watchdog.h"
#include "kernel/handover/points.h"
#include "kernel/rig/event.h"

namespace handover {
namespace {

using arch::PciFunction;
using khocore::Order;
using khocore::PhysAddr;
using khocore::PhysRange;

using Devices = LiveDevices::Devices;
using Kept = khocore::Span<const PciFunction>;

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

unsigned StartBusMasters(Devices& devices) {
  return drivers::StartBusMasters([&](PciFunction function) {
    if (arch::ReadPciConfig(function, 0) == drivers::Edu::kPciId) devices.has_edu = true;
    if (drivers::IsWatchdog(function)) devices.watchdogs.Add(function);
    if (drivers::VirtioPci().Open(function)) devices.virtio.Add(function);
  });
}

/// Calls `visit` for each device, whatever its transport.
void ForEachVirtio(const Devices& devices,
                   khocore::FunctionRef<void(drivers::VirtioTransport&)> visit) {
  drivers::ForEachVirtioMmio(visit);
  for (const PciFunction function : devices.virtio) {
    drivers::VirtioPci device;
    if (device.Open(function)) visit(device);
  }
}

unsigned StartVirtio(Devices& devices) {
  unsigned count = 0;
  ForEachVirtio(devices, [&](drivers::VirtioTransport& device) {
    drivers::StartVirtio(device, {.pages = devices.allocator, .second = devices.buffer});
    ++count;
  });
  return count;
}

unsigned StopVirtio(const Devices& devices, Kept) {
  unsigned used = 0;
  ForEachVirtio(devices, [&](drivers::VirtioTransport& device) {
    used += drivers::ResetVirtio(device) ? 1 : 0;
  });
  return used;
}

/// One transfer that ends after the jump; none where a device that is kept has its own.
unsigned StartTransfers(Devices& devices) {
  if (!devices.has_edu || devices.keeps_device) return 0;
  const auto edu = drivers::Edu::Find();
  if (!edu.ok() || edu.value().IsBusy()) return 0;
  PhysAddr to = devices.buffer;
  if (to.is_null()) {
    const auto page = devices.allocator.AllocatePage();
    if (!page.ok()) return 0;
    to = page.value().address();
  }
  devices.edu = edu.value();
  // Half of the buffer: QEMU 7.2 takes a transfer of all of it for one beyond its end, and aborts.
  devices.edu.StartStore(to, 0, drivers::Edu::kBufferBytes / 2);
  devices.in_flight = true;
  return 1;
}

/// A transfer cannot be stopped, but without bus mastering it ends nowhere.
unsigned CountTransfers(const Devices& devices, Kept) {
  return devices.in_flight && devices.edu.IsBusy() ? 1 : 0;
}

unsigned StartWatchdogs(Devices& devices) {
  unsigned count = 0;
  for (const PciFunction function : devices.watchdogs) {
    drivers::ArmWatchdog(function);
    ++count;
  }
  return count;
}

unsigned StopWatchdogs(const Devices& devices, Kept) {
  unsigned armed = 0;
  for (const PciFunction function : devices.watchdogs) armed += drivers::StopWatchdog(function);
  return armed;
}

/// One row a kind, in the order in which they are switched off.
constexpr struct {
  const char* what;
  unsigned (*start)(Devices&);  ///< in reverse order; returns 0 when there is nothing to start
  unsigned (*stop)(const Devices&, Kept kept);  ///< returns how many were on
} kKinds[] = {
    {"virtio devices", StartVirtio, StopVirtio},
    {"watchdogs", StartWatchdogs, StopWatchdogs},
    {"DMA transfers", StartTransfers, CountTransfers},
    {"bus masters", StartBusMasters,
     [](const Devices&, Kept kept) { return drivers::StopBusMasters(kept); }},
    {"console interrupt",
     [](Devices&) {
       arch::StartConsoleInterrupt();
       return 1u;
     },
     [](const Devices&, Kept) { return arch::StopConsoleInterrupt(); }},
    {"timers",
     [](Devices&) {
       arch::StartTimers();
       return 1u;
     },
     [](const Devices&, Kept) { return arch::StopTimers(); }},
    {"interrupt lines",
     [](Devices&) {
       arch::StartInterruptLines();
       return 1u;
     },
     [](const Devices&, Kept) { return arch::StopInterruptLines(); }},
    {"interrupt controllers",
     [](Devices& devices) {
       arch::StartInterruptControllers(AllocateInterruptTables(devices.allocator));
       return 1u;
     },
     [](const Devices&, Kept) { return arch::StopInterruptControllers(); }},
};
constexpr unsigned kKindCount = sizeof(kKinds) / sizeof(kKinds[0]);

/// The bit of a kind; none for null.
unsigned BitOf(const char* what) {
  for (unsigned i = 0; what != nullptr && i < kKindCount; ++i) {
    if (strcmp(kKinds[i].what, what) == 0) return 1u << i;
  }
  return 0;
}

}  // namespace

LiveDevices::LiveDevices(Outgoing& outgoing)
    : devices_{.allocator = outgoing.generation().allocator,
               .buffer = {},
               .keeps_device = outgoing.kept_devices().size != 0} {
  arch::DisableInterrupts();
  DevicePlan plan{.outgoing = outgoing, .buffer = {}};
  rig::At<rig::Point::kDevicesStarting>(plan);
  devices_.buffer = plan.buffer;
  unsigned started = 0;
  for (unsigned i = kKindCount; i-- != 0;) {
    if (kKinds[i].start(devices_) != 0) started |= 1u << i;
  }
  if ((BitOf(plan.left_on) & started) == 0) return;
  rig::Fire();
  skipped_ = BitOf(plan.left_on) | BitOf(plan.also);
}

void LiveDevices::Quiesce(Kept kept) const {
  arch::DisableInterrupts();
  for (unsigned i = 0; i < kKindCount; ++i) {
    if ((skipped_ >> i & 1) != 0) continue;
    const unsigned count = kKinds[i].stop(devices_, kept);
    rig::Event("quiesce").Text("what", kKinds[i].what).Number("count", count);
  }
}

}  // namespace handover
