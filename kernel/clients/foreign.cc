// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/foreign.h"

#include <string.h>

#include "kernel/base/direct_map.h"
#include "kernel/rig/event.h"

namespace clients {

using khocore::Block;
using khocore::FragmentReader;
using khocore::Ok;
using khocore::PageFrame;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;

Status Foreign::Restore(handover::Incoming& incoming) {
  incoming_ = &incoming;
  // The page of the root is released before the next root is made.
  const Result<PageFrame> copy = incoming.generation().allocator.AllocatePage();
  if (!copy.ok()) return copy.error();
  memcpy(base::Direct<void>(copy.value().address()), base::Direct<void>(incoming.root().address()),
         khocore::kPageSize);
  const Result<FragmentReader> root =
      FragmentReader::Open(incoming.physical(), {copy.value().address(), khocore::kPageSize});
  if (!root.ok()) return root.error();
  root_ = root.value();
  return root_.ForEachSubnode(root_.root(),
                              [&](khocore::FragmentNode node, const char* name) -> Status {
                                const Result<PhysRange> blob = root_.Link(node);
                                if (!blob.ok()) return blob.error();
                                rig::Event("client")
                                    .Text("name", name)
                                    .Hex("data", blob.value().begin.raw())
                                    .Number("size", blob.value().size);
                                return Ok{};
                              });
}

void Foreign::Verify(handover::Incoming& incoming) {
  (void)incoming.ForEachUnrestored([&](Block block) -> Status {
    ++incoming.passed_on.blocks;
    incoming.passed_on.pages += block.order.pages();
    return Ok{};
  });
}

Status Foreign::Preserve(handover::Outgoing& outgoing) {
  if (incoming_ == nullptr) return Ok{};
  return incoming_->ForEachUnrestored(
      [&](Block block) { return outgoing.tracker().Preserve(block); });
}

Status Foreign::Serialize(handover::Outgoing& outgoing) {
  if (incoming_ == nullptr) return Ok{};
  return root_.ForEachSubnode(
      root_.root(), [&](khocore::FragmentNode node, const char* name) -> Status {
        const Result<PhysRange> blob = root_.Link(node);
        if (!blob.ok()) return blob.error();
        if (!incoming_->IsUnrestored(PageFrame::Containing(blob.value().begin))) return Ok{};
        return outgoing.AddClient(name, blob.value());
      });
}

}  // namespace clients
