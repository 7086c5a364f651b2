// SPDX-License-Identifier: BSD-3-Clause
// Faults of taking a handover over, in the second generation.

#include "kernel/arch/cpu.h"
#include "kernel/cpus/cpus.h"
#include "kernel/defects/targets.h"
#include "kernel/handover/points.h"
#include "kernel/rig/require.h"

namespace defects {
namespace {

using handover::Generation;
using handover::Incoming;
using khocore::Block;
using khocore::Order;
using rig::FaultAt;
using rig::Fire;
using rig::Point;
using rig::Require;

void LeaveTailBehind(Incoming& incoming) {
  Block block{};
  if (!FindListedBlock(incoming.generation(), Order::FromLog2(3), &block)) return;
  Fire();
  Require(incoming.LeaveBehind(block.frame + (block.order.pages() - 1)), "fault");
}
KHORIG_FAULT(tail_not_restored) = FaultAt<Point::kRestored, LeaveTailBehind>(
    "tail-not-restored", 2, "T1 T3 T10", "the last page of a block is not restored");

/// Only the last CPU does; the others do not poll for a panic. A function of its own, so that
/// the panic has a name that can be read.
[[gnu::noinline]] void ReadWildPointer(size_t number) {
  while (number != cpus::CpuCount() - 1) arch::Pause();
  *reinterpret_cast<volatile uint64_t*>(uint64_t{0x123} << 40) = 0;
}

void Panic(Generation&) {
  Fire();
  cpus::RunOnAllCpus([](size_t number) { ReadWildPointer(number); });
}
KHORIG_FAULT(panic_after_restore) = FaultAt<Point::kTakenOver, Panic>(
    "panic-after-restore", 2, "", "generation 2 dereferences a wild pointer");

#if __has_feature(undefined_behavior_sanitizer)
/// The compiler does not see by how much.
[[gnu::noinline]] void ShiftByWidth() {
  volatile unsigned width = 64;
  volatile uint64_t word = 1;
  word = word << width;  // NOLINT(clang-analyzer-core.BitwiseShift)
}

void DoUndefined(Generation&) {
  Fire();
  ShiftByWidth();
}
KHORIG_FAULT(undefined_behavior) = FaultAt<Point::kTakenOver, DoUndefined>(
    "undefined-behavior", 2, "", "generation 2 shifts by the width of a word (kernel/ubsan)");
#endif

}  // namespace
}  // namespace defects
