// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/incoming.h"

#include "kernel/base/panic.h"
#include "khocore/abi/clients.h"

namespace handover {

using khocore::Block;
using khocore::Error;
using khocore::ErrorCode;
using khocore::FragmentReader;
using khocore::FrameState;
using khocore::FrameTable;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;

Result<PhysRange> Incoming::FindLink(const char* name) {
  if (!has_top_) {
    const Result<PhysRange> top = Find(khocore::abi::kKhorigClient);
    if (!top.ok()) return top.error();
    const Result<FragmentReader> fragment = RestoreFragment(top.value());
    if (!fragment.ok()) return fragment.error();
    top_ = fragment.value();
    has_top_ = true;
  }
  const Result<khocore::FragmentNode> node = top_.Subnode(top_.root(), name);
  if (!node.ok()) return node.error();
  return top_.Link(node.value());
}

Result<Order> Incoming::OrderOf(PageFrame head) const {
  const FrameTable& frames = memory_.frames;
  if (!IsUnrestored(head) || !frames.is_head(head)) {
    return Error{ErrorCode::kNotPreserved, head.address()};
  }
  return frames.order(head);
}

Status Incoming::RestoreBlock(Block block) {
  const Result<Order> order = OrderOf(block.frame);
  if (order.ok() && order.value() != block.order) {
    return Error{ErrorCode::kNotPreserved, block.begin(), order.value().log2(), block.order.log2()};
  }
  const Result<Order> restored = RestoreHead(block.frame);
  if (!restored.ok()) return restored.error();
  return Ok{};
}

Result<Order> Incoming::RestoreHead(PageFrame head) {
  const Result<Order> order = memory_.frames.Restore(head);
  if (order.ok()) {
    ++restored_.blocks;
    restored_.pages += order.value().pages();
  }
  return order;
}

Status Incoming::RestoreRange(PhysRange range) {
  if (range.Wraps()) return Error{ErrorCode::kOutsideRam, range.begin, range.size};
  const uint64_t end = khocore::WholePages(range).end().raw();
  uint64_t at = range.begin.raw();
  while (at < end) {
    const Result<Order> order = RestoreHead(PageFrame::Containing(PhysAddr::FromRaw(at)));
    if (!order.ok()) return order.error();
    at += order.value().bytes();
  }
  if (at != end) return Error{ErrorCode::kOverlap, range.begin, at, end};
  return Ok{};
}

Result<FragmentReader> Incoming::RestoreFragment(PhysRange blob) {
  const Result<FragmentReader> fragment = FragmentReader::Open(physical(), blob);
  if (!fragment.ok()) return fragment.error();
  KHOCORE_RETURN_IF_ERROR(RestoreForRelease(blob.begin));
  return fragment;
}

Status Incoming::RestoreForRelease(PhysAddr address) {
  if (released_count_ == kMaxReleased) return Error{ErrorCode::kNoSpace, address, released_count_};
  const PageFrame page = PageFrame::Containing(address);
  KHOCORE_RETURN_IF_ERROR(RestoreBlock({page, Order()}));
  released_[released_count_++] = page;
  return Ok{};
}

void Incoming::Release() {
  for (size_t i = 0; i < released_count_; ++i) {
    KHORIG_CHECK(generation_.allocator.Free(released_[i]).ok());
  }
  released_count_ = 0;
}

Status Incoming::ForEachUnrestored(khocore::FunctionRef<Status(Block)> visit) const {
  const FrameTable& frames = memory_.frames;
  for (PageFrame at = frames.first(); at < frames.end();) {
    if (!IsUnrestored(at)) {
      at = at + frames.RunAt(at).frames;
      continue;
    }
    const Order order = frames.order(at);
    KHOCORE_RETURN_IF_ERROR(visit({at, order}));
    at = at + order.pages();
  }
  return Ok{};
}

Status Incoming::LeaveBehind(PageFrame page) {
  return memory_.frames.Set({page, Order()}, FrameState::kPreserved);
}

}  // namespace handover
