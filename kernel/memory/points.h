// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/boot_info.h"
#include "kernel/base/node_map.h"
#include "kernel/rig/fault.h"
#include "khocore/physical_memory.h"

/// What faults get at the point where memory is set up (kernel/rig/fault.h).

namespace memory {

/// A handover that nobody has looked at. RAM is mapped.
struct FoundHandover {
  const base::BootInfo& info;
  const khocore::PhysicalMemory& physical;
};

/// The nodes of memory, for those who keep to them.
struct FoundNodes {
  const base::NodeMap* of_scratch;
  const base::NodeMap* of_blocks;
};

}  // namespace memory

namespace rig {

template <>
struct ContextOf<Point::kHandoverFound> {
  using Type = memory::FoundHandover;
};

template <>
struct ContextOf<Point::kNodesFound> {
  using Type = memory::FoundNodes;
};

}  // namespace rig
