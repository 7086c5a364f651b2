// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/cpus.h"
#include "kernel/base/boot_info.h"
#include "kernel/base/node_map.h"

namespace arch {

/// The NUMA nodes of the machine's memory (SRAT, device tree). Firmware's tables are untrusted: as
/// in Linux, what contradicts itself is reported to `note` and makes all of it one node. Called
/// once; the result stays.
const base::NodeMap& FindNodes(const base::BootInfo& info, Note note);

}  // namespace arch
