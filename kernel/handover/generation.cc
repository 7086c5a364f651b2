// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/generation.h"

#include "kernel/arch/arch.h"
#include "kernel/rig/event.h"
#include "khocore/radix_walk.h"

namespace core {

using khocore::Block;
using khocore::Error;
using khocore::ErrorCode;
using khocore::FragmentReader;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;

Result<Order> Generation::RestoreBlock(PageFrame head) {
  const Result<Order> order = memory.frames.Restore(head);
  if (order.ok()) {
    ++restored.blocks;
    restored.pages += order.value().pages();
  }
  return order;
}

Status Generation::RestoreRange(PhysRange range) {
  const uint64_t end = khocore::AlignUp(range.end().raw(), khocore::kPageSize);
  uint64_t at = range.begin.raw();
  while (at < end) {
    const Result<Order> order = RestoreBlock(PageFrame::Containing(PhysAddr::FromRaw(at)));
    if (!order.ok()) return order.error();
    at += order.value().bytes();
  }
  if (at != end) return Error{ErrorCode::kOverlap, range.begin, at, end};
  return Ok{};
}

Result<FragmentReader> Generation::RestoreFragment(PhysAddr address) {
  const Result<FragmentReader> fragment = FragmentReader::Open(memory.physical, address);
  if (!fragment.ok()) return fragment.error();
  KHOCORE_RETURN_IF_ERROR(RestoreObsolete(address));
  return fragment;
}

Status Generation::RestoreObsolete(PhysAddr address) {
  if (obsolete_count == kMaxObsolete) return Error{ErrorCode::kNoSpace, address, obsolete_count};
  const Result<Order> order = RestoreBlock(PageFrame::Containing(address));
  if (!order.ok()) return order.error();
  obsolete[obsolete_count++] = PageFrame::Containing(address);
  return Ok{};
}

void Generation::ReleaseObsolete() {
  for (size_t i = 0; i < obsolete_count; ++i) memory.allocator.FreePage(obsolete[i]);
  obsolete_count = 0;
}

Status Generation::AddLink(const char* name, PhysRange data) {
  if (link_count == kMaxLinks) return Error{ErrorCode::kNoSpace, data.begin};
  links[link_count++] = {name, data};
  return Ok{};
}

Result<PhysRange> Generation::FindLink(const char* name) const {
  const Result<int> node = incoming_top.Subnode(incoming_top.root(), name);
  if (!node.ok()) return node.error();
  return incoming_top.Link(node.value());
}

PhysRange LargestPreservedBlock(const Generation& generation) {
  PhysRange largest;
  const auto pass_node = [](PageFrame, unsigned) -> Status { return Ok{}; };
  const auto compare = [&](Block block) -> Status {
    if (block.bytes() > largest.size) largest = {block.begin(), block.bytes()};
    return Ok{};
  };
  Require(khocore::WalkRadix(generation.memory.physical, generation.tracker.root().address(),
                             {.node = pass_node, .block = compare}),
          "fault");
  return largest;
}

namespace {

[[noreturn]] void EndWithFailure(const Error& error, const char* what) {
  KHORIG_FAIL(what, "%s at 0x%lx: found 0x%lx, expected 0x%lx", khocore::ErrorName(error.code),
              error.where.raw(), error.found, error.expected);
  Event("done").Text("status", "fail");
  arch::Exit(arch::ExitStatus::kFail);
}

}  // namespace

void Require(const Status& status, const char* what) {
  if (!status.ok()) EndWithFailure(status.error(), what);
}

void RequireMissing(const char* what) { EndWithFailure(Error{ErrorCode::kNotFound}, what); }

}  // namespace core
