// SPDX-License-Identifier: BSD-3-Clause
// Faults of preserving memory and of writing the handover.

#include <string.h>

#include "kernel/base/direct_map.h"
#include "kernel/handover/points.h"
#include "kernel/rig/require.h"

namespace defects {
namespace {

using handover::Generation;
using handover::Outgoing;
using handover::TrackerNodes;
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

void UnpreserveRoot(Outgoing& outgoing) {
  Fire();
  Require(outgoing.tracker().Unpreserve({outgoing.root(), Order()}), "fault");
}
KHORIG_FAULT(root_not_preserved) = FaultAt<Point::kSealing, UnpreserveRoot>(
    "root-not-preserved", 1, "S1", "the root page is not in the tracker");

}  // namespace
}  // namespace defects
