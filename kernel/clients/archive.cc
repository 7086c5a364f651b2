// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/archive.h"

#include <string.h>

#include "kernel/handover/generation.h"

namespace clients {
namespace {

using khocore::Block;
using khocore::FrameState;
using khocore::Ok;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;

constexpr char kNode[] = "archive";

PhysRange WholePages(PhysRange range) {
  return {range.begin, khocore::AlignUp(range.size, khocore::kPageSize)};
}

}  // namespace

void Archive::Take(core::Generation& generation) {
  const PhysRange initrd = generation.info.initrd;
  if (initrd.size == 0) return;
  core::Memory& memory = generation.memory;
  if (memory.physical.Find(initrd) == nullptr) {
    core::Require(
        Status(khocore::Error{khocore::ErrorCode::kOutsideRam, initrd.begin, initrd.size}),
        "archive");
  }
  if (memory.scratch.Overlaps(initrd) || !initrd.begin.IsAligned(khocore::kPageSize)) {
    const PhysRange copy =
        core::Require(memory.allocator.AllocateRange(initrd.size, khocore::kPageSize), "archive");
    memcpy(core::Direct<void>(copy.begin), core::Direct<void>(initrd.begin), initrd.size);
    range_ = {copy.begin, initrd.size};
    return;
  }
  range_ = initrd;
  // The early map of used memory merges neighbours; from here on these pages are blocks of their
  // own, the very ones that get preserved.
  core::Require(core::ForEachBlock(WholePages(range_),
                                   [&](Block block) -> Status {
                                     return memory.frames.Set(block, FrameState::kAllocated);
                                   }),
                "archive");
}

Status Archive::Restore(core::Generation& generation) {
  const Result<PhysRange> link = generation.FindLink(kNode);
  if (!link.ok()) return link.error();
  range_ = link.value();
  return generation.RestoreRange(range_);
}

Status Archive::Preserve(core::Generation& generation) {
  if (range_.size == 0) return Ok{};
  return generation.tracker.PreserveRange(WholePages(range_));
}

Status Archive::Serialize(khocore::FragmentWriter& top) const {
  if (range_.size == 0) return Ok{};
  return top.Link(kNode, range_.begin, range_.size);
}

khocore::Span<const uint8_t> Archive::bytes() const {
  return {core::Direct<const uint8_t>(range_.begin), range_.size};
}

}  // namespace clients
