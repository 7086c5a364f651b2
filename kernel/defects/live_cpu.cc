// SPDX-License-Identifier: BSD-3-Clause
// Faults of a CPU that runs on across jumps (scenario live-cpu).

#include "kernel/arch/live_cpu.h"

#include "kernel/arch/cpu.h"
#include "kernel/base/direct_map.h"
#include "kernel/clients/live_cpu.h"
#include "kernel/handover/points.h"
#include "kernel/rig/require.h"

namespace defects {
namespace {

using clients::StartingCpu;
using rig::FaultAt;
using rig::Fire;
using rig::Point;

/// Counts as the loop does, but in the text of this kernel and on its page tables.
void LeaveText(StartingCpu& starting) {
  Fire();
  starting.leave = [] {
    const auto counter = khocore::PhysAddr::FromRaw(clients::live_cpu.cpu()->counter.physical);
    auto* const iterations = base::Direct<volatile uint64_t>(counter);
    for (;;) {
      *iterations = *iterations + 1;
      arch::Pause();
    }
  };
}
KHORIG_FAULT(live_cpu_leaves_text) = FaultAt<Point::kLiveCpuStarting, LeaveText>(
    "live-cpu-leaves-text", 1, "N16",
    "a CPU that runs on executes the old kernel's text (scenario live-cpu)");

/// The tables map another page where the stack is said to lie.
void StoreOutside(StartingCpu& starting) {
  const auto page = rig::Require(starting.generation.allocator.AllocatePage(), "fault");
  Fire();
  const uint64_t stack = starting.cpu.stack.physical;
  starting.cpu.stack.physical = page.address().raw();
  arch::PrepareLiveCpu(&starting.cpu);
  starting.cpu.stack.physical = stack;
}
KHORIG_FAULT(live_cpu_stores_outside) = FaultAt<Point::kLiveCpuStarting, StoreOutside>(
    "live-cpu-stores-outside", 1, "N16",
    "a CPU that runs on has its stack in an unowned page (scenario live-cpu)");

void ForgetStack(handover::Outgoing& outgoing) {
  const khocore::abi::LiveCpu* const cpu = clients::live_cpu.cpu();
  if (cpu == nullptr) return;
  Fire();
  const auto stack = khocore::PhysAddr::FromRaw(cpu->stack.physical);
  rig::Require(
      outgoing.tracker().Unpreserve({khocore::PageFrame::Containing(stack), khocore::Order()}),
      "fault");
}
KHORIG_FAULT(live_cpu_page_not_preserved) = FaultAt<Point::kSealing, ForgetStack>(
    "live-cpu-page-not-preserved", 1, "N16",
    "the stack of a CPU that runs on is not preserved (scenario live-cpu)");

}  // namespace
}  // namespace defects
