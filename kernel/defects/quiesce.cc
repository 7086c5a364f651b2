// SPDX-License-Identifier: BSD-3-Clause
// Faults of leaving CPUs and devices on.

#include "kernel/arch/cpu.h"
#include "kernel/arch/cpus.h"
#include "kernel/arch/jump_defects.h"
#include "kernel/base/direct_map.h"
#include "kernel/defects/targets.h"
#include "kernel/handover/points.h"
#include "kernel/rig/require.h"

namespace defects {
namespace {

using handover::DevicePlan;
using handover::LeftCpu;

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

void LeaveBusMasters(DevicePlan& plan) { plan.left_on = "bus masters"; }
void LeaveVirtio(DevicePlan& plan) { plan.left_on = "virtio devices"; }
void LeaveWatchdogs(DevicePlan& plan) { plan.left_on = "watchdogs"; }
void LeaveInterrupt(DevicePlan& plan) { plan.left_on = "console interrupt"; }
void LeaveTimers(DevicePlan& plan) { plan.left_on = "timers"; }
void LeaveLines(DevicePlan& plan) { plan.left_on = "interrupt lines"; }
void LeaveControllers(DevicePlan& plan) { plan.left_on = "interrupt controllers"; }

/// Lets a device write to a preserved page. Behind PCI that needs bus mastering, too.
void LeaveWriting(DevicePlan& plan, const char* kind) {
  khocore::Block target;
  if (!FindListedBlock(plan.outgoing.generation(), khocore::Order(), &target)) return;
  plan.left_on = kind;
  plan.also = "bus masters";
  plan.buffer = target.begin();
}
void LeaveBuffers(DevicePlan& plan) { LeaveWriting(plan, "virtio devices"); }
void LeaveTransfer(DevicePlan& plan) { LeaveWriting(plan, "DMA transfers"); }

KHORIG_FAULT(bus_master_left_on) = FaultAt<Point::kDevicesStarting, LeaveBusMasters>(
    "bus-master-left-on", 1, "Q2", "PCI functions keep bus mastering across the jump");
KHORIG_FAULT(virtio_left_on) = FaultAt<Point::kDevicesStarting, LeaveVirtio>(
    "virtio-left-on", 1, "Q1",
    "virtio devices are not reset (needs one: -- -device virtio-rng-device)");
KHORIG_FAULT(buffers_left_posted) = FaultAt<Point::kDevicesStarting, LeaveBuffers>(
    "buffers-left-posted", 1, "Q1 Q2",
    "a virtio device keeps a buffer in a preserved page and writes to it after the jump (needs "
    "one: -- -device virtio-rng-pci,max-bytes=64,period=1000)");
KHORIG_FAULT(dma_left_running) = FaultAt<Point::kDevicesStarting, LeaveTransfer>(
    "dma-left-running", 1, "Q2",
    "bus mastering stays on, and a transfer ends in a preserved page after the jump (needs one: "
    "-- -device edu,dma_mask=0xffffffff)");
KHORIG_FAULT(watchdog_left_armed) = FaultAt<Point::kDevicesStarting, LeaveWatchdogs>(
    "watchdog-left-armed", 1, "Q8",
    "a watchdog counts on across the jump (needs one: -- -device i6300esb)");
KHORIG_FAULT(interrupt_left_pending) = FaultAt<Point::kDevicesStarting, LeaveInterrupt>(
    "interrupt-left-pending", 1, "Q7", "the console asserts its interrupt across the jump");
KHORIG_FAULT(timer_left_armed) = FaultAt<Point::kDevicesStarting, LeaveTimers>(
    "timer-left-armed", 1, "Q8", "timers run on across the jump");
KHORIG_FAULT(interrupt_left_unmasked) = FaultAt<Point::kDevicesStarting, LeaveLines>(
    "interrupt-left-unmasked", 1, "Q7", "interrupt lines stay unmasked across the jump");
KHORIG_FAULT(controller_left_on) = FaultAt<Point::kDevicesStarting, LeaveControllers>(
    "interrupt-controller-left-on", 1, "Q9",
    "interrupt controllers stay on, LPIs and ITS included");

}  // namespace
}  // namespace defects
