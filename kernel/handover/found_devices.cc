// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/found_devices.h"

#include "kernel/arch/console.h"
#include "kernel/drivers/pci.h"
#include "kernel/drivers/virtio_mmio.h"
#include "kernel/drivers/watchdog.h"
#include "kernel/rig/event.h"

namespace handover {
namespace {

using arch::PciFunction;

constexpr unsigned kCommand = 0x04;
constexpr uint32_t kBusMaster = 1 << 2, kNoInterrupt = 1 << 10, kInterrupt = 1 << 19;

bool IsMaster(PciFunction function) {
  return (arch::ReadPciConfig(function, kCommand) & kBusMaster) != 0;
}

/// Whether its interrupt, a level, is asserted.
bool Interrupts(PciFunction function) {
  return (arch::ReadPciConfig(function, kCommand) & (kInterrupt | kNoInterrupt)) == kInterrupt;
}

bool IsArmed(PciFunction function) {
  return drivers::IsWatchdog(function) && drivers::IsWatchdogArmed(function);
}

/// An array of the functions that are `on`: bus, device and function as in a requester id.
void List(rig::Event& event, const char* key, bool (*on)(PciFunction)) {
  event.Begin(key, '[');
  drivers::ForEachPciFunctionBelow(arch::FindPciBuses().first, [&](PciFunction function) {
    if (on(function)) event.Item(function.bus << 8 | function.device << 3 | function.function);
  });
  event.End(']');
}

}  // namespace

void ReportFoundDevices() {
  unsigned virtio = 0;
  drivers::ForEachVirtioMmio(
      [&](drivers::VirtioTransport& device) { virtio += device.Status() != 0 ? 1 : 0; });
  const bool console = arch::ConsoleInterrupts();
  uint64_t last_bus = arch::FindPciBuses().first;
  drivers::ForEachPciFunctionBelow(static_cast<unsigned>(last_bus), [&](PciFunction function) {
    last_bus = function.bus > last_bus ? function.bus : last_bus;
  });
  rig::Event event("found");
  List(event, "masters", IsMaster);
  List(event, "interrupts", Interrupts);
  List(event, "watchdogs", IsArmed);
  event.Number("last_bus", last_bus).Number("virtio", virtio).Bool("console", console);
}

}  // namespace handover
