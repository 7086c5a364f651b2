// SPDX-License-Identifier: BSD-3-Clause
// Faults of taking a handover over, in the second generation.

#include <string.h>

#include "kernel/arch/cpu.h"
#include "kernel/base/direct_map.h"
#include "kernel/cpus/cpus.h"
#include "kernel/defects/targets.h"
#include "kernel/handover/points.h"
#include "kernel/memory/points.h"
#include "kernel/rig/require.h"
#include "khocore/abi/radix.h"

namespace defects {
namespace {

using handover::Generation;
using handover::Incoming;
using khocore::Block;
using khocore::Order;
using khocore::PageFrame;
using rig::FaultAt;
using rig::Fire;
using rig::Point;
using rig::Require;

/// As if a table or a stack were put there.
void WriteEarly(memory::FoundHandover& found) {
  const auto tracker = TrackerOf(found.physical, found.info.kho_root.begin);
  const auto block = LargestPreserved(found.physical, tracker);
  if (block.size == 0) return;
  Fire();
  memset(base::Direct<void>(block.begin), 0, khocore::kPageSize);
}
KHORIG_FAULT(early_allocation) = FaultAt<Point::kHandoverFound, WriteEarly>(
    "early-allocation", 2, "E1 E3",
    "a page is allocated before the handover is known, and written");

/// The first page of the tree that is not its root.
void OverwriteNode(memory::FoundHandover& found) {
  const auto tracker = TrackerOf(found.physical, found.info.kho_root.begin);
  auto* const root = base::Direct<uint64_t>(tracker.address());
  for (size_t i = 0; i < khocore::abi::kRadixTableEntries; ++i) {
    if (root[i] == 0) continue;
    Fire();
    memset(base::Direct<void>(khocore::PhysAddr::FromRaw(root[i])), 0x5a, khocore::kPageSize);
    return;
  }
}
KHORIG_FAULT(node_reused_early) = FaultAt<Point::kHandoverFound, OverwriteNode>(
    "node-reused-early", 2, "E16", "a tracker node is reused before the tracker is walked");

void LeaveTailBehind(Incoming& incoming) {
  Block block{};
  if (!FindListedBlock(incoming.generation(), Order::FromLog2(3), &block)) return;
  Fire();
  Require(incoming.LeaveBehind(block.frame + (block.order.pages() - 1)), "fault");
}
KHORIG_FAULT(tail_not_restored) = FaultAt<Point::kRestored, LeaveTailBehind>(
    "tail-not-restored", 2, "T1 T3 T10", "the last page of a block is not restored");

/// A page of a block that is about to be taken over.
PageFrame PageToSpoil(const Generation& generation) {
  Block block{};
  if (!FindListedBlock(generation, Order::FromLog2(2), &block)) return PageFrame();
  return block.frame + 1;
}

/// As for a folio that was not up to date when its flags were recorded.
void ZeroPage(Incoming& incoming) {
  const PageFrame page = PageToSpoil(incoming.generation());
  if (page == PageFrame()) return;
  Fire();
  memset(base::Direct<void>(page.address()), 0, khocore::kPageSize);
}
KHORIG_FAULT(zeroed_when_restored) = FaultAt<Point::kRestored, ZeroPage>(
    "zeroed-when-restored", 2, "R14", "a restored page is zeroed, as its recorded flags say");

void FreeRestored(Incoming& incoming) {
  Block block{};
  if (!FindListedBlock(incoming.generation(), Order::FromLog2(3), &block)) return;
  Fire();
  Require(incoming.generation().allocator.Free(block.frame), "fault");
}
KHORIG_FAULT(freed_when_restored) = FaultAt<Point::kRestored, FreeRestored>(
    "freed-when-restored", 2, "T6 T8", "a restored block is freed while its client has it");

void LeaveBlockBehind(Incoming& incoming) {
  Block block{};
  if (!FindListedBlock(incoming.generation(), Order::FromLog2(2), &block)) return;
  Fire();
  for (uint64_t i = 0; i < block.order.pages(); ++i) {
    Require(incoming.LeaveBehind(block.frame + i), "fault");
  }
}
KHORIG_FAULT(block_not_restored) = FaultAt<Point::kRestored, LeaveBlockBehind>(
    "block-not-restored", 2, "T7 T9",
    "a block is not restored, and its client told that all of it is");

void SplitRestored(Incoming& incoming) {
  Block block{};
  if (!FindListedBlock(incoming.generation(), Order::FromLog2(3), &block)) return;
  Fire();
  for (uint64_t i = 0; i < block.order.pages(); ++i) {
    Require(incoming.generation().allocator.Regroup({block.frame + i, Order()}), "fault");
  }
}
KHORIG_FAULT(restored_as_pages) = FaultAt<Point::kRestored, SplitRestored>(
    "restored-as-pages", 2, "T5 T10", "a block is restored as single pages");

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
