// SPDX-License-Identifier: BSD-3-Clause
// Faults of preserving memory.

#include <string.h>

#include "kernel/base/direct_map.h"
#include "kernel/clients/points.h"
#include "kernel/clients/stores.h"
#include "kernel/cpus/cpus.h"
#include "kernel/defects/targets.h"
#include "kernel/handover/points.h"
#include "kernel/rig/require.h"
#include "kernel/scenarios/blocks.h"
#include "khocore/abi/radix.h"
#include "khocore/vmalloc.h"

namespace defects {
namespace {

using handover::Generation;
using handover::Outgoing;
using handover::TrackerNodes;
using khocore::Block;
using khocore::Order;
using khocore::PageFrame;
using khocore::PageSource;
using khocore::PhysRange;
using khocore::Result;
using rig::FaultAt;
using rig::Fire;
using rig::Point;
using rig::Require;

/// Has its second page in scratch.
class ScratchPages : public PageSource {
 public:
  explicit ScratchPages(Generation& generation) : generation_(generation) {}

  Result<PageFrame> AllocatePage() override {
    if (count_++ != 1) return generation_.allocator.AllocatePage();
    Fire();
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

void TakeNodesFromScratch(TrackerNodes& nodes) {
  static ScratchPages pages(nodes.generation);
  nodes.pages = &pages;
}
KHORIG_FAULT(node_in_scratch) = FaultAt<Point::kTrackerStarting, TakeNodesFromScratch>(
    "node-in-scratch", 1, "R2", "a tracker node is in scratch");

void PreserveScratch(Outgoing& outgoing) {
  const PhysRange area = outgoing.generation().scratch.area(0);
  Fire();
  Require(outgoing.tracker().Preserve({PageFrame::Containing(area.begin), Order()}), "fault");
}
KHORIG_FAULT(preserved_in_scratch) = FaultAt<Point::kPreserved, PreserveScratch>(
    "preserved-in-scratch", 1, "R1", "a page of scratch is preserved");

/// A block of its own that is given up again, and was not unpreserved as it was preserved.
void Abandon(Outgoing& outgoing, Block block) {
  // The error that nobody looks at: there is no block of this order.
  (void)outgoing.tracker().Unpreserve({block.frame, Order()});
  Require(outgoing.generation().allocator.Free(block.frame), "fault");
}

/// Large enough that nothing else takes it before the stop.
constexpr Order kAbandoned = Order::FromLog2(6);

void UnpreserveOtherOrder(Outgoing& outgoing) {
  const PageFrame head = Require(outgoing.generation().allocator.Allocate(kAbandoned), "fault");
  Require(outgoing.tracker().Preserve({head, kAbandoned}), "fault");
  Fire();
  Abandon(outgoing, {head, kAbandoned});
}
KHORIG_FAULT(unpreserve_other_order) = FaultAt<Point::kSealing, UnpreserveOtherOrder>(
    "unpreserve-other-order", 1, "R4",
    "a block is unpreserved with another order than it was preserved with, and freed");

void UnpreserveListByPages(Outgoing& outgoing) {
  Generation& generation = outgoing.generation();
  PageFrame heads[3];
  for (PageFrame& head : heads) head = Require(generation.allocator.Allocate(kAbandoned), "fault");
  const auto list = Require(
      khocore::WriteVmalloc(outgoing.physical(), generation.allocator, {heads, 3}, kAbandoned),
      "fault");
  Require(khocore::PreserveVmalloc(outgoing.physical(), outgoing.tracker(), list), "fault");
  Fire();
  const auto chunk = PageFrame::Containing(khocore::PhysAddr::FromRaw(list.first));
  Require(outgoing.tracker().Unpreserve({chunk, Order()}), "fault");
  generation.allocator.FreePage(chunk);
  for (const PageFrame head : heads) Abandon(outgoing, {head, kAbandoned});
}
KHORIG_FAULT(list_unpreserved_by_pages) = FaultAt<Point::kSealing, UnpreserveListByPages>(
    "list-unpreserved-by-pages", 1, "R5",
    "one page of each larger block of a list is unpreserved, and all of it freed");

/// A block whose last page is not allocated again before the jump: large blocks are split from
/// below.
constexpr Order kUnused = Order::FromLog2(9);

/// A node that was freed when a later allocation failed, and is still linked.
void LinkFreedNode(Outgoing& outgoing) {
  memory::PageAllocator& allocator = outgoing.generation().allocator;
  const PageFrame head = Require(allocator.Allocate(kUnused), "fault");
  const PageFrame node = head + (kUnused.pages() - 1);
  memset(base::Direct<void>(node.address()), 0, khocore::kPageSize);
  auto* root = base::Direct<uint64_t>(outgoing.tracker().root().address());
  uint64_t* const slot = &root[khocore::abi::kRadixTableEntries - 1];
  if (*slot != 0) return;
  Fire();
  *slot = node.address().raw();
  Require(allocator.Free(head), "fault");
}
KHORIG_FAULT(freed_node_linked) = FaultAt<Point::kSealing, LinkFreedNode>(
    "freed-node-linked", 1, "R10", "the tracker links a node that was freed");

void UnpreserveOthersBlock(Outgoing& outgoing) {
  Block block{};
  if (!FindListedBlock(outgoing.generation(), Order(), &block)) return;
  Fire();
  Require(outgoing.tracker().Unpreserve(block), "fault");
}
KHORIG_FAULT(unpreserve_of_anothers) = FaultAt<Point::kPreserved, UnpreserveOthersBlock>(
    "unpreserve-of-anothers", 1, "R11", "a block is unpreserved that another client preserved");

/// The first user of a page that two preserve gives it up.
void DropSharedPage(Outgoing& outgoing) {
  const auto* store = clients::stores.Find(scenarios::kBlocksStore);
  if (store == nullptr) return;
  const auto* chunk =
      base::Direct<khocore::abi::VmallocChunk>(khocore::PhysAddr::FromRaw(store->pages.first));
  const Block shared{PageFrame::Containing(khocore::PhysAddr::FromRaw(chunk->blocks[0])), Order()};
  (void)outgoing.tracker().Preserve(shared);
  Fire();
  Require(outgoing.tracker().Unpreserve(shared), "fault");
}
KHORIG_FAULT(shared_page_dropped) = FaultAt<Point::kPreserved, DropSharedPage>(
    "shared-page-dropped", 1, "R12",
    "a page that two clients preserve is unpreserved by the first of them");

void PreserveLate(Outgoing& outgoing) {
  const PageFrame page = Require(outgoing.generation().allocator.AllocatePage(), "fault");
  Fire();
  Require(outgoing.tracker().Preserve({page, Order()}), "fault");
}
KHORIG_FAULT(late_preserve) = FaultAt<Point::kSealed, PreserveLate>(
    "late-preserve", 1, "R13", "a page is preserved after sealing");

void PreserveLateElsewhere(Outgoing& outgoing) {
  if (cpus::CpuCount() == 1) return;
  cpus::RunOnAllCpus([&](size_t number) {
    if (number == cpus::CpuCount() - 1) PreserveLate(outgoing);
  });
}
KHORIG_FAULT(ap_preserves_late) = FaultAt<Point::kSealed, PreserveLateElsewhere>(
    "ap-preserves-late", 1, "R16", "the last CPU preserves a page after sealing (--smp)");

void ForgetBlock(Outgoing& outgoing) { UnpreserveOthersBlock(outgoing); }
KHORIG_FAULT(not_preserved_again) = FaultAt<Point::kPreserved, ForgetBlock>(
    "not-preserved-again", 2, "G5", "generation 2 does not preserve a block that it took over");

void LeakPage(Outgoing& outgoing) {
  const PageFrame page = Require(outgoing.generation().allocator.AllocatePage(), "fault");
  Fire();
  Require(outgoing.tracker().Preserve({page, Order()}), "fault");
}
KHORIG_FAULT(leaked_preservation) = FaultAt<Point::kPreserved, LeakPage>(
    "leaked-preservation", 2, "G9", "generation 2 preserves a page that no client owns");

void LeaveOutLivePage(clients::LiveDeviceKept& kept) {
  Fire();
  kept.page = false;
}
KHORIG_FAULT(device_page_not_preserved) = FaultAt<Point::kLiveDeviceKeeping, LeaveOutLivePage>(
    "device-page-not-preserved", 1, "Q10 N17",
    "the page that a live device writes is not preserved (scenario live-dma)");

void LeaveOutTables(clients::LiveDeviceKept& kept) {
  if (!kept.has_iommu) return;
  Fire();
  kept.tables = false;
}
KHORIG_FAULT(iommu_tables_not_preserved) = FaultAt<Point::kLiveDeviceKeeping, LeaveOutTables>(
    "iommu-tables-not-preserved", 1, "Q10 N8",
    "an IOMMU stays on, and its tables are not preserved (scenario live-dma)");

void StopLiveDevice(clients::LiveDeviceKept& kept) {
  Fire();
  kept.master = false;
}
KHORIG_FAULT(live_device_stopped) = FaultAt<Point::kLiveDeviceKeeping, StopLiveDevice>(
    "live-device-stopped", 1, "N17",
    "a device that is handed over loses bus mastering (scenario live-dma)");

}  // namespace
}  // namespace defects
