// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/archive.h"

#include <string.h>

#include "kernel/base/direct_map.h"

namespace clients {
namespace {

using khocore::Block;
using khocore::Ok;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;
using khocore::WholePages;

constexpr char kNode[] = "archive";

}  // namespace

void Archive::Offer(handover::Generation& generation, PhysRange range) {
  range_ = range;
  generation.archive = {base::Direct<const uint8_t>(range.begin), range.size};
}

Status Archive::Take(handover::Generation& generation) {
  const PhysRange initrd = generation.info.initrd;
  if (initrd.size == 0) return Ok{};
  if (generation.physical.Find(initrd) == nullptr) {
    return khocore::Error{khocore::ErrorCode::kOutsideRam, initrd.begin, initrd.size};
  }
  if (generation.scratch.Overlaps(initrd) || !initrd.begin.IsAligned(khocore::kPageSize)) {
    const Result<PhysRange> copy =
        generation.allocator.AllocateRange(initrd.size, khocore::kPageSize);
    if (!copy.ok()) return copy.error();
    memcpy(base::Direct<void>(copy.value().begin), base::Direct<void>(initrd.begin), initrd.size);
    Offer(generation, {copy.value().begin, initrd.size});
    return Ok{};
  }
  Offer(generation, initrd);
  // The early map of used memory merges neighbours; from here on these pages are blocks of their
  // own, the very ones that get preserved.
  return memory::ForEachBlock(generation.allocator.nodes(), WholePages(initrd),
                              [&](Block block) { return generation.allocator.Regroup(block); });
}

Status Archive::Restore(handover::Incoming& incoming) {
  const Result<PhysRange> link = incoming.FindLink(kNode);
  if (!link.ok()) return link.error();
  KHOCORE_RETURN_IF_ERROR(incoming.RestoreRange(link.value()));
  Offer(incoming.generation(), link.value());
  return Ok{};
}

Status Archive::Preserve(handover::Outgoing& outgoing) const {
  if (range_.size == 0) return Ok{};
  // Whoever loaded it knew no nodes.
  for (PhysRange rest = WholePages(range_); rest.size != 0;) {
    const PhysRange part = outgoing.generation().allocator.nodes().FrontOf(rest);
    KHOCORE_RETURN_IF_ERROR(outgoing.tracker().PreserveRange(part));
    rest = {part.end(), rest.size - part.size};
  }
  return Ok{};
}

Status Archive::Serialize(handover::Outgoing& outgoing) const {
  if (range_.size == 0) return Ok{};
  return outgoing.AddLink(kNode, range_);
}

}  // namespace clients
