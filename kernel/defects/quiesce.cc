// SPDX-License-Identifier: BSD-3-Clause
// Faults of leaving CPUs and devices on.

#include <string.h>

#include "kernel/arch/cpu.h"
#include "kernel/arch/cpus.h"
#include "kernel/arch/jump_defects.h"
#include "kernel/base/direct_map.h"
#include "kernel/defects/targets.h"
#include "kernel/handover/points.h"
#include "kernel/rig/require.h"

namespace defects {
namespace {

using handover::LeftCpu;
using handover::StartedDevice;
using rig::FaultAt;
using rig::Fire;
using rig::Point;

void LeaveSpinning(LeftCpu& left) {
  Fire();
  left.loop = [] {
    for (;;) arch::Pause();
  };
}
KHORIG_FAULT(ap_spins_in_old_text) = FaultAt<Point::kCpusParking, LeaveSpinning>(
    "ap-spins-in-old-text", 1, "Q4 N16", "a CPU is not parked and spins in the old kernel's text");

void LeaveInUnownedPage(LeftCpu& left) {
  Fire();
  static khocore::PhysAddr page;
  page = rig::Require(left.generation.allocator.AllocatePage(), "fault").address();
  arch::MakeLoop(page);
  left.loop = [] { arch::EnterLoop(page); };
}
KHORIG_FAULT(park_page_unowned) = FaultAt<Point::kCpusParking, LeaveInUnownedPage>(
    "park-page-unowned", 1, "Q6", "a CPU is parked in an unowned page");

void LeaveWriting(LeftCpu& left) {
  static khocore::Block target;
  if (!FindListedBlock(left.generation, khocore::Order(), &target)) return;
  Fire();
  left.loop = [] {
    for (;;) {
      auto* const word = base::Direct<volatile uint64_t>(target.begin());
      *word = *word + 1;
      arch::Pause();
    }
  };
}
KHORIG_FAULT(ap_writes_from_old_text) = FaultAt<Point::kCpusParking, LeaveWriting>(
    "ap-writes-from-old-text", 1, "Q4",
    "a CPU is not parked and writes to a preserved page after the jump");

void CallByHvc(LeftCpu&) {
  if (arch::SpoilFirmwareCall()) Fire();
}
KHORIG_FAULT(psci_by_hvc) = FaultAt<Point::kCpusParking, CallByHvc>(
    "psci-by-hvc", 1, "", "PSCI is called by HVC to park CPUs, whatever firmware asks for (arm64)");

void LeaveOn(StartedDevice& started, const char* kind) {
  if (strcmp(started.kind, kind) != 0) return;
  Fire();
  started.left_on = true;
}
void LeaveBusMasters(StartedDevice& started) { LeaveOn(started, "bus masters"); }
void LeaveVirtio(StartedDevice& started) { LeaveOn(started, "virtio devices"); }
void LeaveTimers(StartedDevice& started) { LeaveOn(started, "timers"); }
void LeaveLines(StartedDevice& started) { LeaveOn(started, "interrupt lines"); }
void LeaveControllers(StartedDevice& started) { LeaveOn(started, "interrupt controllers"); }

KHORIG_FAULT(bus_master_left_on) = FaultAt<Point::kDeviceStarted, LeaveBusMasters>(
    "bus-master-left-on", 1, "Q2", "PCI functions keep bus mastering across the jump");
KHORIG_FAULT(virtio_left_on) = FaultAt<Point::kDeviceStarted, LeaveVirtio>(
    "virtio-left-on", 1, "Q1",
    "virtio-mmio devices are not reset (needs one: -- -device virtio-rng-device)");
KHORIG_FAULT(timer_left_armed) = FaultAt<Point::kDeviceStarted, LeaveTimers>(
    "timer-left-armed", 1, "Q8", "timers run on across the jump");
KHORIG_FAULT(interrupt_left_unmasked) = FaultAt<Point::kDeviceStarted, LeaveLines>(
    "interrupt-left-unmasked", 1, "Q7", "interrupt lines stay unmasked across the jump");
KHORIG_FAULT(controller_left_on) = FaultAt<Point::kDeviceStarted, LeaveControllers>(
    "interrupt-controller-left-on", 1, "Q9",
    "interrupt controllers stay on, LPIs and ITS included");

}  // namespace
}  // namespace defects
