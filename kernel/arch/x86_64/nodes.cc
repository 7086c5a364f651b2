// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/nodes.h"

#include "kernel/arch/x86_64/acpi.h"
#include "kernel/arch/x86_64/page_tables.h"

namespace arch {

using khocore::PhysAddr;
using khocore::PhysRange;

const base::NodeMap& FindNodes(const base::BootInfo& info, Note note) {
  static constinit base::NodeMap nodes;
  // What firmware leaves lies below 4 GiB, where everything is mapped from the start.
  auto map = [](PhysRange range) -> const void* {
    constexpr PhysRange kMapped{PhysAddr(), kEarlyMapEnd};
    return kMapped.Contains(range) ? reinterpret_cast<const void*>(range.begin.raw()) : nullptr;
  };
  ReadNodes(info.rsdp, base::BootReader(map, note), &nodes);
  return nodes;
}

}  // namespace arch
