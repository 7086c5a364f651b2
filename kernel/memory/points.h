// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/boot_info.h"
#include "kernel/rig/fault.h"
#include "khocore/physical_memory.h"

/// What faults get at the point where memory is set up (kernel/rig/fault.h).

namespace memory {

/// A handover that nobody has looked at. RAM is mapped.
struct FoundHandover {
  const base::BootInfo& info;
  const khocore::PhysicalMemory& physical;
};

}  // namespace memory

namespace rig {

template <>
struct ContextOf<Point::kHandoverFound> {
  using Type = memory::FoundHandover;
};

}  // namespace rig
