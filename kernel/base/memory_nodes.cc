// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/memory_nodes.h"

namespace base {

bool AddMemoryNode(const DeviceTree& tree, const TreeNode& node, NodeMap* nodes, Note note) {
  if (!node.IsInRoot() || !HasString(node.device_type, "memory") || !node.IsEnabled()) return true;
  uint64_t id = 0;
  (void)ReadNumber(tree.Property(node.offset, "numa-node-id"), &id);
  khocore::PhysRange range;
  for (size_t i = 0; node.Reg(i, &range); ++i) {
    if (nodes->Add(range, static_cast<uint32_t>(id))) continue;
    note("memory of two NUMA nodes, or of more than can be kept; all of it is one");
    return false;
  }
  return true;
}

}  // namespace base
