// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/boot_info.h"
#include "kernel/base/direct_map.h"
#include "kernel/memory/page_allocator.h"
#include "kernel/rig/options.h"
#include "khocore/frame_table.h"
#include "khocore/incoming.h"
#include "khocore/physical_memory.h"
#include "khocore/scratch.h"

namespace memory {

/// All memory of this kernel: what there is, what was handed over, and who uses what.
struct Memory {
  khocore::PhysicalMemory physical;
  khocore::Scratch scratch;
  khocore::FrameTable frames;
  PageAllocator allocator;
  khocore::Incoming incoming;
  bool has_incoming = false;  ///< false on a cold boot
  bool has_refused = false;   ///< a cold boot because of what was handed over
  uint64_t ram_bytes = 0;
};

/// Sets up `memory` from what the boot protocol said. With a handover in `info` only scratch is
/// touched until everything that was preserved is known and claimed; a handover that breaks a rule
/// is refused with the `refused` event, and this becomes a cold boot. Too little RAM ends the
/// machine with the `error` event.
void SetUpMemory(const base::BootInfo& info, const rig::Options& options, Memory* memory);

/// Prints the `memory` event.
void ReportMemory(const Memory& memory);

}  // namespace memory
