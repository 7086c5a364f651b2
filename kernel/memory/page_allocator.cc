// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/memory/page_allocator.h"

#include <string.h>

#include "kernel/base/panic.h"

namespace memory {
namespace {

using khocore::Block;
using khocore::Error;
using khocore::ErrorCode;
using khocore::FrameState;
using khocore::FrameTable;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;

bool IsUnused(const FrameTable::Run& run) {
  return run.state == FrameState::kFree && !run.in_scratch;
}

PhysRange RangeOf(PageFrame begin, PageFrame end) {
  return {begin.address(), end.address() - begin.address()};
}

PageFrame BuddyOf(Block block) {
  return PageFrame::FromNumber(block.frame.number() ^ block.order.pages());
}

/// Calls `visit` for the fewest blocks of an order that the allocator has, each in one node.
template <typename Visit>
void ForEachPiece(const base::NodeMap& nodes, PhysRange range, Visit visit) {
  constexpr Order kLargest = Order::FromLog2(PageAllocator::kMaxOrder);
  (void)ForEachBlock(nodes, range, [&](Block block) -> Status {
    const Order order = block.order.log2() < kLargest.log2() ? block.order : kLargest;
    for (uint64_t at = 0; at < block.order.pages(); at += order.pages()) {
      visit(Block{block.frame + at, order});
    }
    return Ok{};
  });
}

}  // namespace

PageAllocator::Links* PageAllocator::LinksOf(PageFrame frame) const {
  void* bytes = memory_->Find({frame.address(), khocore::kPageSize});
  KHORIG_CHECK(bytes != nullptr);
  return static_cast<Links*>(bytes);
}

void PageAllocator::Initialize(const khocore::PhysicalMemory& memory, FrameTable& frames,
                               const base::NodeMap& nodes) {
  memory_ = &memory;
  frames_ = &frames;
  nodes_ = &nodes;
  const PhysRange all = RangeOf(frames.first(), frames.end());
  const PhysRange first = nodes.FrontOf(all);
  if (first.size != all.size) boundary_ = PageFrame::Containing(first.end());
  for (PageFrame at = frames.first(); at < frames.end();) {
    const FrameTable::Run run = frames.RunAt(at);
    const PageFrame end = at + run.frames;
    if (IsUnused(run)) {
      ForEachPiece(nodes, RangeOf(at, end), [this](Block block) {
        KHORIG_CHECK(frames_->SplitOff(block).ok());
        Enter(block);
      });
    }
    at = end;
  }
  all_pages_ = free_pages_;
}

void PageAllocator::InsertRange(PhysRange range) {
  ForEachPiece(*nodes_, range, [this](Block block) { InsertAndMerge(block); });
}

void PageAllocator::Mark(PhysRange range, FrameState state) {
  const Status marked =
      ForEachBlock(*nodes_, range, [&](Block block) { return frames_->Set(block, state); });
  KHORIG_CHECK(marked.ok());
}

void PageAllocator::Enter(Block block) {
  List& list = lists_[block.order.log2()];
  *LinksOf(block.frame) = {list.first, kNone};
  (list.first == kNone ? list.last : LinksOf(list.first)->previous) = block.frame;
  list.first = block.frame;
  free_pages_ += block.order.pages();
}

void PageAllocator::Unlink(Block block) {
  List& list = lists_[block.order.log2()];
  const Links links = *LinksOf(block.frame);
  (links.next == kNone ? list.last : LinksOf(links.next)->previous) = links.previous;
  (links.previous == kNone ? list.first : LinksOf(links.previous)->next) = links.next;
  free_pages_ -= block.order.pages();
}

void PageAllocator::InsertAndMerge(Block block) {
  KHORIG_CHECK(frames_->Set(block, FrameState::kFree).ok());
  while (block.order.log2() < kMaxOrder) {
    const Block buddy{BuddyOf(block), block.order};
    if (!frames_->IsHead(buddy, FrameState::kFree)) break;
    const Block joined{buddy.frame < block.frame ? buddy.frame : block.frame,
                       Order::FromLog2(block.order.log2() + 1)};
    if (!nodes_->IsInOne({joined.begin(), joined.bytes()})) break;
    Unlink(buddy);
    block = joined;
    KHORIG_CHECK(frames_->Join(block).ok());
  }
  Enter(block);
}

PageAllocator::Choice PageAllocator::End(unsigned list, bool oldest) const {
  if (list > kMaxOrder) return {list, kNone, kNone};
  const PageFrame head = oldest ? lists_[list].last : lists_[list].first;
  return {list, head, head};
}

PageAllocator::Choice PageAllocator::AtBoundary(Order order) const {
  const auto around = [this](unsigned log2) {
    return PageFrame::FromNumber((boundary_.number() - 1) >> log2 << log2);
  };
  for (unsigned list = order.log2(); list <= kMaxOrder; ++list) {
    const Block block{around(list), Order::FromLog2(list)};
    if (block.frame < frames_->first() || frames_->end() < block.frame + block.order.pages()) break;
    if (!frames_->IsHead(block, FrameState::kFree) || frames_->in_scratch(block.frame)) continue;
    return {list, block.frame, around(order.log2())};
  }
  return {kMaxOrder + 1, kNone, kNone};
}

PageAllocator::Choice PageAllocator::Choose(Order order) {
  unsigned best = order.log2();
  while (best <= kMaxOrder && lists_[best].first == kNone) ++best;
  if (best > kMaxOrder || random_ == nullptr) return End(best, false);
  const bool oldest = (random_->Next() & 1) != 0;
  const bool plenty = free_pages_ > all_pages_ / 8 * 7;
  if (!plenty || scattered_ == kScattered) return End(best, oldest);
  unsigned lists[kMaxOrder + 1] = {best};
  unsigned count = 1;
  for (unsigned at = best + 1; at <= kMaxOrder; ++at) {
    if (lists_[at].first != kNone) lists[count++] = at;
  }
  // Lists are filled in ascending order: with any seed there is a block near either end of RAM.
  const unsigned number = scattered_++;
  if (number < 2) return End(lists[count - 1], number == 1);
  if (number == 2 && boundary_ != kNone) {
    const Choice choice = AtBoundary(order);
    if (choice.list <= kMaxOrder) return choice;
  }
  return End(lists[random_->Below(count)], oldest);
}

Result<PageFrame> PageAllocator::Allocate(Order order) {
  if (order.log2() > kMaxOrder) return Error{ErrorCode::kOrderRange, PhysAddr(), order.log2()};
  const auto [found, free, taken] = Choose(order);
  if (found > kMaxOrder) return Error{ErrorCode::kOutOfMemory, PhysAddr(), order.bytes()};
  Unlink({free, Order::FromLog2(found)});
  PageFrame head = free;
  for (unsigned split = found; split > order.log2(); --split) {
    const Order half = Order::FromLog2(split - 1);
    const Block upper{head + half.pages(), half};
    KHORIG_CHECK(frames_->SplitOff(upper).ok());
    if (taken < upper.frame) {
      Enter(upper);
      continue;
    }
    const Block lower{head, half};
    KHORIG_CHECK(frames_->SplitOff(lower).ok());  // its order is half of what it was
    Enter(lower);
    head = upper.frame;
  }
  KHORIG_CHECK(frames_->Set({head, order}, FrameState::kAllocated).ok());
  return head;
}

Status PageAllocator::Free(PageFrame head) {
  if (frames_->state(head) != FrameState::kAllocated || !frames_->is_head(head) ||
      frames_->in_scratch(head)) {
    return Error{ErrorCode::kNotAllocated, head.address()};
  }
  InsertRange({head.address(), frames_->order(head).bytes()});
  return Ok{};
}

Result<PhysRange> PageAllocator::AllocateRange(uint64_t size, uint64_t alignment) {
  const uint64_t bytes = khocore::AlignUp(size, khocore::kPageSize);
  const uint64_t wanted = bytes > alignment ? bytes : alignment;
  unsigned order = 0;
  while (order < kMaxOrder && Order::FromLog2(order).bytes() < wanted) ++order;
  if (wanted <= Order::FromLog2(order).bytes()) {
    const Result<PageFrame> head = Allocate(Order::FromLog2(order));
    if (head.ok()) {
      const PhysRange kept{head.value().address(), bytes};
      Mark(kept, FrameState::kAllocated);
      InsertRange({kept.end(), Order::FromLog2(order).bytes() - bytes});
      return kept;
    }
  }
  // No block is that large, but blocks that lie side by side may be.
  const PhysRange kept = FindFree(bytes, alignment);
  if (kept.size == 0) return Error{ErrorCode::kOutOfMemory, PhysAddr(), bytes};
  TakeOut(kept);
  return kept;
}

PhysRange PageAllocator::FindFree(uint64_t bytes, uint64_t alignment) const {
  const uint64_t step = alignment < khocore::kPageSize ? khocore::kPageSize : alignment;
  for (PageFrame at = frames_->first(); at < frames_->end();) {
    const FrameTable::Run run = frames_->RunAt(at);
    const PhysRange free = nodes_->FrontOf(RangeOf(at, at + run.frames));
    const PhysRange place{PhysAddr::FromRaw(khocore::AlignUp(free.begin.raw(), step)), bytes};
    if (IsUnused(run) && free.Contains(place)) return place;
    at = PageFrame::Containing(free.end());
  }
  return {};
}

void PageAllocator::TakeOut(PhysRange kept) {
  // The first of them begins with `kept`, because blocks are aligned to their size and `FindFree`
  // returns the first place in a run.
  PageFrame back = PageFrame::Containing(kept.begin);
  while (back.address() < kept.end()) {
    const Block block{back, frames_->order(back)};
    Unlink(block);
    back = back + block.order.pages();
  }
  Mark(kept, FrameState::kAllocated);
  InsertRange({kept.end(), back.address() - kept.end()});
}

Status PageAllocator::FreeRange(PhysRange range) {
  return ForEachBlock(*nodes_, range, [&](Block block) { return Free(block.frame); });
}

Status PageAllocator::Regroup(Block block) { return frames_->Set(block, FrameState::kAllocated); }

Result<PageFrame> PageAllocator::AllocatePage() {
  const Result<PageFrame> page = Allocate(Order());
  if (page.ok()) memset(LinksOf(page.value()), 0, khocore::kPageSize);
  return page;
}

void PageAllocator::FreePage(PageFrame page) {
  KHORIG_CHECK(frames_->order(page) == Order());
  KHORIG_CHECK(Free(page).ok());
}

}  // namespace memory
