// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/foreign.h"

#include "kernel/handover/generation.h"
#include "kernel/rig/event.h"

namespace clients {
namespace {

using khocore::FragmentReader;
using khocore::FrameState;
using khocore::FrameTable;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;

}  // namespace

void ReportClients(const core::Generation& generation) {
  const FragmentReader& root = generation.memory.incoming.root();
  const Status status = root.ForEachSubnode(root.root(), [&](int node, const char* name) -> Status {
    const Result<PhysRange> blob = root.Link(node);
    if (!blob.ok()) return blob.error();
    core::Event("client")
        .Text("name", name)
        .Hex("data", blob.value().begin.raw())
        .Number("size", blob.value().size);
    return Ok{};
  });
  core::Require(status, "clients");
}

Status PreserveForeign(core::Generation& generation) {
  const FrameTable& frames = generation.memory.frames;
  for (PageFrame at = frames.first(); at < frames.end();) {
    if (frames.state(at) != FrameState::kPreserved) {
      at = at + frames.RunAt(at).frames;
      continue;
    }
    const Order order = frames.order(at);
    KHOCORE_RETURN_IF_ERROR(generation.tracker.Preserve({at, order}));
    at = at + order.pages();
  }
  return Ok{};
}

Status AddForeignClients(core::Generation& generation) {
  if (!generation.memory.has_incoming) return Ok{};
  const FragmentReader& root = generation.memory.incoming.root();
  return root.ForEachSubnode(root.root(), [&](int node, const char* name) -> Status {
    const Result<PhysRange> blob = root.Link(node);
    if (!blob.ok()) return blob.error();
    const PageFrame first = PageFrame::Containing(blob.value().begin);
    if (generation.memory.frames.state(first) != FrameState::kPreserved) return Ok{};
    return generation.outgoing.AddClient(name, blob.value());
  });
}

}  // namespace clients
