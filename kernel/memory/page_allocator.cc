// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/memory/page_allocator.h"

#include <string.h>

#include "kernel/base/panic.h"

namespace core {
namespace {

using khocore::Block;
using khocore::Error;
using khocore::ErrorCode;
using khocore::FrameState;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;

/// A byte of the frame table: RAM outside scratch that nobody has claimed.
bool IsUnused(uint8_t byte) {
  return (byte & 0xe0) == static_cast<uint8_t>(FrameState::kFree) << 5;
}

PageFrame BuddyOf(Block block) {
  return PageFrame::FromNumber(block.frame.number() ^ block.order.pages());
}

}  // namespace

PageAllocator::Links* PageAllocator::LinksOf(PageFrame frame) const {
  void* bytes = memory_->Find({frame.address(), khocore::kPageSize});
  KHORIG_CHECK(bytes != nullptr);
  return static_cast<Links*>(bytes);
}

void PageAllocator::Initialize(const khocore::PhysicalMemory& memory, khocore::FrameTable& frames) {
  memory_ = &memory;
  frames_ = &frames;
  const uint8_t* bytes = frames.bytes();
  const uint64_t count = frames.size();
  for (uint64_t i = 0; i < count;) {
    uint64_t end = i;
    while (end < count && IsUnused(bytes[end])) ++end;
    if (end == i) {
      ++i;
      continue;
    }
    // A run is split into the fewest aligned blocks, so no two of them can be merged.
    const PhysRange run{(frames.first() + i).address(), (end - i) * khocore::kPageSize};
    (void)ForEachBlock(run, [&](Block block) -> Status {
      const unsigned order = block.order.log2() < kMaxOrder ? block.order.log2() : kMaxOrder;
      const Order piece = Order::FromLog2(order);
      for (uint64_t at = 0; at < block.order.pages(); at += piece.pages()) {
        Link({block.frame + at, piece});
      }
      return Ok{};
    });
    i = end;
  }
  all_pages_ = free_pages_;
}

void PageAllocator::Link(Block block) {
  frames_->Set(block, FrameState::kFree);
  Enter(block);
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

bool PageAllocator::IsFreeHead(PageFrame frame, unsigned order) const {
  return frames_->state(frame) == FrameState::kFree && frames_->is_head(frame) &&
         !frames_->in_scratch(frame) && frames_->order(frame).log2() == order;
}

void PageAllocator::InsertAndMerge(Block block) {
  while (block.order.log2() < kMaxOrder && IsFreeHead(BuddyOf(block), block.order.log2())) {
    const PageFrame buddy = BuddyOf(block);
    Unlink({buddy, block.order});
    block.frame = buddy < block.frame ? buddy : block.frame;
    block.order = Order::FromLog2(block.order.log2() + 1);
  }
  Link(block);
}

unsigned PageAllocator::ChooseList(unsigned order) {
  unsigned lists[kMaxOrder + 1];
  unsigned count = 0;
  for (; order <= kMaxOrder; ++order) {
    if (lists_[order].first != kNone) lists[count++] = order;
  }
  if (count == 0) return kMaxOrder + 1;
  const bool plenty = free_pages_ > all_pages_ / 8 * 7;
  return lists[random_ != nullptr && plenty ? random_->Below(count) : 0];
}

Result<PageFrame> PageAllocator::Allocate(Order order) {
  if (order.log2() > kMaxOrder) return Error{ErrorCode::kOrderRange, PhysAddr(), order.log2()};
  const unsigned found = ChooseList(order.log2());
  if (found > kMaxOrder) return Error{ErrorCode::kOutOfMemory, PhysAddr(), order.bytes()};
  const bool oldest = random_ != nullptr && (random_->Next() & 1) != 0;
  const PageFrame head = oldest ? lists_[found].last : lists_[found].first;
  Unlink({head, Order::FromLog2(found)});
  for (unsigned split = found; split > order.log2(); --split) {
    const Order half = Order::FromLog2(split - 1);
    const Block rest{head + half.pages(), half};
    frames_->SplitOff(rest);
    Enter(rest);
  }
  frames_->Set({head, order}, FrameState::kAllocated);
  return head;
}

Status PageAllocator::Free(PageFrame head) {
  if (frames_->state(head) != FrameState::kAllocated || !frames_->is_head(head) ||
      frames_->in_scratch(head)) {
    return Error{ErrorCode::kNotPreserved, head.address()};
  }
  InsertAndMerge({head, frames_->order(head)});
  return Ok{};
}

Result<PhysRange> PageAllocator::AllocateRange(uint64_t size, uint64_t alignment) {
  const uint64_t bytes = khocore::AlignUp(size, khocore::kPageSize);
  const uint64_t wanted = bytes > alignment ? bytes : alignment;
  unsigned order = 0;
  while (order < kMaxOrder && Order::FromLog2(order).bytes() < wanted) ++order;
  const Result<PageFrame> head = Allocate(Order::FromLog2(order));
  if (!head.ok()) return head.error();
  const PhysAddr begin = head.value().address();
  const PhysRange kept{begin, bytes};
  const PhysRange rest{begin + bytes, Order::FromLog2(order).bytes() - bytes};
  (void)ForEachBlock(kept, [&](Block block) -> Status {
    frames_->Set(block, FrameState::kAllocated);
    return Ok{};
  });
  (void)ForEachBlock(rest, [&](Block block) -> Status {
    InsertAndMerge(block);
    return Ok{};
  });
  return kept;
}

Status PageAllocator::FreeRange(PhysRange range) {
  return ForEachBlock(range, [&](Block block) { return Free(block.frame); });
}

Result<PageFrame> PageAllocator::AllocatePage() {
  const Result<PageFrame> page = Allocate(Order());
  if (page.ok()) memset(LinksOf(page.value()), 0, khocore::kPageSize);
  return page;
}

void PageAllocator::FreePage(PageFrame page) { KHORIG_CHECK(Free(page).ok()); }

}  // namespace core
