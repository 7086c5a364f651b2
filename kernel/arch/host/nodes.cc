// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/nodes.h"

namespace arch {

/// The process's memory is one node.
const base::NodeMap& FindNodes(const base::BootInfo&, Note) {
  static constinit base::NodeMap nodes;
  return nodes;
}

}  // namespace arch
