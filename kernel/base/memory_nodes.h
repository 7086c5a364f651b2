// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/device_tree.h"
#include "kernel/base/node_map.h"

namespace base {

/// Adds the memory of `node`, if it is a memory node, to the NUMA node that it names (Linux
/// Documentation/devicetree/bindings/numa.txt); without a name to 0. False, with a `note`, when
/// that contradicts what was added before.
[[nodiscard]] bool AddMemoryNode(const DeviceTree& tree, const TreeNode& node, NodeMap* nodes,
                                 Note note);

}  // namespace base
