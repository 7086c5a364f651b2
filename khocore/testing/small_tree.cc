// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/testing/small_tree.h"

#include <stdlib.h>
#include <string.h>

#include "khocore/radix_walk.h"

namespace khocore {
namespace {

constexpr uint64_t kBase = uint64_t{1} << 30;

alignas(kPageSize) uint8_t ram[SmallTree::kFrames * kPageSize];
Tracker trackers[kMaxWorkers];

PhysicalMemory MakeMemory() {
  PhysicalMemory memory;
  if (!memory.AddWindow({PhysAddr::FromRaw(kBase), sizeof(ram)}, ram).ok()) abort();
  return memory;
}
const PhysicalMemory kMemory = MakeMemory();

void* BytesOf(PageFrame page) { return kMemory.Find({page.address(), kPageSize}); }

/// Word by word it would take most of the time; `Interleavings::AllocatePage` stands for it.
__attribute__((no_sanitize("thread"))) void Zero(void* page) { memset(page, 0, kPageSize); }

}  // namespace

Result<PageFrame> SmallTree::Pages::AllocatePage() {
  if (used == fails_at || used == kPagesEach) return Error{ErrorCode::kOutOfMemory, PhysAddr()};
  const PageFrame page = PageFrame::Containing(PhysAddr::FromRaw(kBase)) + first + used++;
  ++out;
  Zero(BytesOf(page));
  tree->run_.AllocatePage(BytesOf(page));
  return page;
}

void SmallTree::Pages::FreePage(PageFrame page) {
  --out;
  tree->run_.FreePage(BytesOf(page), __builtin_return_address(0));
}

PageFrame SmallTree::Frame(uint64_t number) {
  return PageFrame::Containing(PhysAddr::FromRaw(kBase)) + (kFrames - kBlocks + number);
}

uint64_t* SmallTree::Content(uint64_t number) {
  return static_cast<uint64_t*>(BytesOf(Frame(number)));
}

SmallTree::SmallTree(Interleavings& run) : run_(run), trackers_(trackers) {
  run.SharePages(ram, sizeof(ram), "page");
  run.Share(trackers, sizeof(trackers), "trackers");
  for (unsigned i = 0; i <= kMaxWorkers; ++i) {
    pages_[i].tree = this;
    pages_[i].first = i * kPagesEach;
  }
  const Result<Tracker> tracker = Tracker::Create(kMemory, pages_[kMaxWorkers]);
  if (!tracker.ok()) abort();
  first_ = tracker.value();
  for (unsigned i = 0; i < kMaxWorkers; ++i) trackers[i] = first_.ForCpu(pages_[i]);
}

void SmallTree::Begin(const Blocks& blocks) {
  for (const auto& [number, order] : blocks) {
    if (!first_.Preserve(BlockOf(number, order)).ok()) abort();
  }
}

bool SmallTree::Run(std::vector<Interleavings::Work> work) {
  return run_.Run(std::move(work)) && Check();
}

bool SmallTree::Check() {
  uint64_t pages = 0;
  const auto node = [&](PageFrame, unsigned) -> Status {
    ++nodes_;
    return Ok{};
  };
  const auto block = [&](Block found) -> Status {
    blocks_.emplace(found.frame - Frame(0), found.order.log2());
    pages += found.order.pages();
    return Ok{};
  };
  const Status walked = WalkRadix(kMemory, first_.root().address(), {node, block});
  for (const Tracker& tracker : trackers) first_.Join(tracker);
  uint64_t out = 0;
  for (const Pages& source : pages_) out += source.out;
  return Expect(walked.ok(), "the tree cannot be walked") &&
         Expect(first_.block_count() == blocks_.size(), "blocks are miscounted") &&
         Expect(first_.page_count() == pages, "preserved pages are miscounted") &&
         Expect(first_.node_count() == nodes_, "nodes are miscounted") &&
         Expect(out == nodes_, "of " + std::to_string(out) + " pages that are out " +
                                   std::to_string(nodes_) + " are nodes");
}

bool SmallTree::Expect(bool is_right, const std::string& what) {
  if (!is_right) run_.Fail(what);
  return is_right;
}

}  // namespace khocore
