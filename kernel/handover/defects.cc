// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/defects.h"

#include <string.h>

#include "kernel/arch/cpu.h"
#include "kernel/arch/cpus.h"
#include "kernel/base/direct_map.h"
#include "kernel/cpus/cpus.h"
#include "kernel/handover/forbidden.h"
#include "kernel/rig/fault.h"
#include "kernel/rig/require.h"
#include "khocore/radix_walk.h"

namespace handover {
namespace {

using khocore::Block;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PageSource;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;
using rig::Fault;
using rig::Fire;
using rig::IsArmed;
using rig::Require;

/// Has its second page in scratch.
class ScratchPages : public PageSource {
 public:
  explicit ScratchPages(Generation& generation) : generation_(generation) {}

  Result<PageFrame> AllocatePage() override {
    if (count_++ != 1 || !Fire(Fault::kNodeInScratch)) return generation_.allocator.AllocatePage();
    const PhysRange area = generation_.scratch.area(0);
    const PageFrame page = PageFrame::Containing(area.end()) + (0 - uint64_t{1});
    memset(base::Direct<void>(page.address()), 0, khocore::kPageSize);
    return page;
  }
  void FreePage(PageFrame) override {}

 private:
  Generation& generation_;
  unsigned count_ = 0;
};

/// The target of a fault: the first of the largest blocks that are preserved. Empty when nothing
/// is.
PhysRange LargestPreservedBlock(const Outgoing& outgoing) {
  PhysRange largest;
  const auto pass_node = [](PageFrame, unsigned) -> Status { return Ok{}; };
  const auto compare = [&](Block block) -> Status {
    if (block.bytes() > largest.size) largest = {block.begin(), block.bytes()};
    return Ok{};
  };
  Require(khocore::WalkRadix(outgoing.physical(), outgoing.tracker().root().address(),
                             {.node = pass_node, .block = compare}),
          "fault");
  return largest;
}

/// Only the last CPU does; the others do not poll for a panic. A function of its own, so that
/// the panic has a name that can be read.
[[gnu::noinline]] void ReadWildPointer(size_t number) {
  while (number != cpus::CpuCount() - 1) arch::Pause();
  *reinterpret_cast<volatile uint64_t*>(uint64_t{0x123} << 40) = 0;
}

/// The compiler does not see by how much.
[[gnu::noinline]] void ShiftByWidth() {
  volatile unsigned width = 64;
  volatile uint64_t word = 1;
  word = word << width;  // NOLINT(clang-analyzer-core.BitwiseShift)
}

}  // namespace

PageSource& TrackerNodes(Generation& generation) {
  if (!IsArmed(Fault::kNodeInScratch)) return generation.allocator;
  static ScratchPages pages(generation);
  return pages;
}

void AfterClose(Outgoing& outgoing) {
  if (!Fire(Fault::kRootNotPreserved)) return;
  Require(outgoing.tracker().Unpreserve({outgoing.root(), Order()}), "fault");
}

PhysRange ParametersPlace(const Outgoing& outgoing) {
  if (!IsArmed(Fault::kSegmentOutsideScratch)) return {};
  return LargestPreservedBlock(outgoing);
}

void AfterRestored(Generation& generation) {
  DoForbidden(generation);
  if (Fire(Fault::kPanicAfterRestore)) {
    cpus::RunOnAllCpus([](size_t number) { ReadWildPointer(number); });
  }
  if (Fire(Fault::kUndefinedBehavior)) ShiftByWidth();
}

void AfterSealed(const Outgoing& outgoing) {
  if (IsArmed(Fault::kWriteAfterSeal)) {
    const PhysRange target = LargestPreservedBlock(outgoing);
    if (target.size != 0 && Fire(Fault::kWriteAfterSeal)) {
      *base::Direct<volatile uint8_t>(target.begin) ^= 1;
    }
  }
  while (Fire(Fault::kHangBeforeJump)) arch::Pause();
}

void (*LoopOfLeftCpu(Generation& generation))() {
  if (cpus::CpuCount() == 1) return nullptr;
  if (Fire(Fault::kCpuSpins)) {
    return [] {
      for (;;) arch::Pause();
    };
  }
  if (!Fire(Fault::kParkPageUnowned)) return nullptr;
  static khocore::PhysAddr page;
  page = Require(generation.allocator.AllocatePage(), "fault").address();
  arch::MakeLoop(page);
  return [] { arch::EnterLoop(page); };
}

}  // namespace handover
