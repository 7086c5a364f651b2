// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/incoming.h"

namespace khocore {

Result<Incoming> Incoming::Open(const PhysicalMemory& memory, PhysAddr root, const Scratch& scratch,
                                FrameTable& frames) {
  Status first = Ok{};
  const auto stop = [&first](const Error& error) {
    first = error;
    return false;
  };
  Incoming incoming;
  incoming.summary_ = CheckHandover(memory, root, scratch, frames, stop);
  if (!first.ok()) return first.error();
  const Result<FragmentReader> reader = FragmentReader::Open(memory, {root, kPageSize});
  if (!reader.ok()) return reader.error();
  incoming.root_ = reader.value();
  return incoming;
}

Result<PhysRange> Incoming::Find(const char* client) const {
  const Result<FragmentNode> node = root_.Subnode(root_.root(), client);
  if (!node.ok()) return node.error();
  return root_.Link(node.value());
}

}  // namespace khocore
