// SPDX-License-Identifier: BSD-3-Clause
// Faults of the CPU's modes: levels of page tables, and what protects a kernel from itself.

#include "kernel/arch/modes.h"

#include "kernel/arch/jump_defects.h"
#include "kernel/arch/mode_defects.h"
#include "kernel/cpus/cpus.h"
#include "kernel/handover/points.h"
#include "kernel/kexec/points.h"

namespace defects {
namespace {

using arch::EntryDefect;
using arch::ModeDefect;
using rig::FaultAt;
using rig::Fire;
using rig::Point;

template <EntryDefect kDefect>
void SpoilEntry(kexec::PreparedJump& jump) {
  arch::SpoilEntry(jump.next.plan, kDefect, jump.request.allocator);
}

[[gnu::noinline]] void ReadTable(const volatile uint64_t* table) { table[0]; }

void FollowUnmasked(handover::Modes& modes) {
  if (modes.levels != 4 || arch::ReadTableLevels().used != 5) return;
  const volatile uint64_t* const table = arch::UnmaskedTable();
  if (table == nullptr) return;
  Fire();
  ReadTable(table);
}
KHORIG_FAULT(switch_unmasked) =
    rig::After<Point::kJumpPrepared, SpoilEntry<EntryDefect::kSoftwareBits>>(
        FaultAt<Point::kModesSetting, FollowUnmasked>(
            "five-level-switch-unmasked", 2, "N1",
            "generation 2, which goes from five levels of page tables to four, reads its "
            "predecessor's by an entry with software bits (x86_64)"));

void LeaveExecution(handover::Modes&) {
  if (arch::SpoilMode(ModeDefect::kSupervisorExecution)) Fire();
}
KHORIG_FAULT(smep_left_off) = FaultAt<Point::kModesSet, LeaveExecution>(
    "smep-left-off", 2, "", "generation 2 runs without SMEP (x86_64 CPUs that have it)");

void LeaveWriteProtection(handover::Modes&) {
  if (arch::SpoilMode(ModeDefect::kWriteProtection)) Fire();
}
KHORIG_FAULT(wp_left_off) = FaultAt<Point::kModesSet, LeaveWriteProtection>(
    "wp-left-off", 2, "", "generation 2 runs without CR0.WP (x86_64)");

void LeaveExecutionOfOther(handover::Generation&) {
  if (cpus::CpuCount() == 1) return;
  cpus::RunOnAllCpus([](size_t number) {
    if (number != cpus::CpuCount() - 1) return;
    if (arch::SpoilMode(ModeDefect::kSupervisorExecution)) Fire();
  });
}
KHORIG_FAULT(smep_left_off_ap) = FaultAt<Point::kTakenOver, LeaveExecutionOfOther>(
    "smep-left-off-ap", 2, "", "the last CPU of generation 2 runs without SMEP (--smp)");

}  // namespace
}  // namespace defects
