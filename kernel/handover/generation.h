// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/boot_info.h"
#include "kernel/base/random.h"
#include "kernel/memory/page_allocator.h"
#include "kernel/rig/options.h"
#include "khocore/physical_memory.h"
#include "khocore/scratch.h"
#include "khocore/types.h"

namespace handover {

/// One generation, from entry to jump: its machine, its options, and memory to allocate. What
/// concerns another generation is in the halves: `Incoming` has
/// what the previous one handed over, `Outgoing` what the next one gets.
struct Generation {
  const base::BootInfo& info;
  const rig::Options& options;
  const khocore::PhysicalMemory& physical;
  const khocore::Scratch& scratch;
  memory::PageAllocator& allocator;
  base::Random random;  ///< decides where things lie
  khocore::Span<const uint8_t>
      archive{};  ///< files of the next kernel; the client `archive` sets it

  bool is_last() const { return options.generation >= options.generations; }
};

}  // namespace handover
