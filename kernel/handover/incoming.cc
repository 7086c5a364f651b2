// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/incoming.h"

#include <string.h>

#include "kernel/base/panic.h"
#include "khocore/abi/clients.h"
#include "khocore/abi/handover.h"

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
    const Result<FragmentReader> fragment =
        RestoreFragment(top.value(), khocore::abi::kKhorigCompatible);
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
  const Result<Order> order = RestoreHead(block.frame);
  if (!order.ok()) return order.error();
  if (order.value() != block.order) {
    return Error{ErrorCode::kNotPreserved, block.begin(), order.value().log2(), block.order.log2()};
  }
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

Result<FragmentReader> Incoming::OpenFragment(PhysRange blob, const char* compatible) const {
  const Result<FragmentReader> fragment = FragmentReader::Open(physical(), blob);
  if (!fragment.ok()) return fragment.error();
  const FragmentReader& reader = fragment.value();
  const Result<khocore::Span<const uint8_t>> found =
      reader.Property(FragmentReader::root(), khocore::abi::kCompatibleProperty);
  if (!found.ok()) return Error{ErrorCode::kCompatibleMissing, blob.begin};
  const size_t size = strlen(compatible) + 1;
  if (found.value().size != size || memcmp(found.value().data, compatible, size) != 0) {
    return Error{ErrorCode::kCompatibleMismatch, blob.begin, found.value().size, size};
  }
  return fragment;
}

Result<FragmentReader> Incoming::RestoreFragment(PhysRange blob, const char* compatible) {
  const Result<FragmentReader> fragment = OpenFragment(blob, compatible);
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
