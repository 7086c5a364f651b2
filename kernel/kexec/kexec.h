// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/jump.h"
#include "kernel/base/boot_info.h"
#include "kernel/base/random.h"
#include "kernel/memory/page_allocator.h"
#include "khocore/physical_memory.h"
#include "khocore/scratch.h"
#include "khocore/types.h"

namespace kexec {

/// What there is to load the next kernel from and where it may lie. All of it outlives the call.
struct LoadRequest {
  const base::BootInfo& info;            ///< this kernel's machine, passed on
  uint32_t generation;                   ///< this kernel's
  khocore::Span<const uint8_t> archive;  ///< cpio (docs/abi.md), empty when there is none
  khocore::PhysAddr kho_root;
  const khocore::Scratch& scratch;
  const khocore::PhysicalMemory& ram;
  memory::PageAllocator& allocator;  ///< of buffers and of the jump's pages, all outside scratch
  base::Random& random;              ///< decides where in scratch the segments go
};

/// The next kernel, read out of the archive and placed in scratch; nothing is copied yet.
struct NextKernel {
  static constexpr size_t kMaxSegments = 3;
  arch::Segment segments[kMaxSegments];
  size_t segment_count = 0;
  khocore::PhysAddr entry;
  khocore::PhysAddr parameters;
  arch::JumpPlan plan;
};

/// Reads `kernel`, `initrd` and `cmdline` from the archive, places them at random in scratch,
/// builds the parameters and prepares the jump. Prints the `segments` event. What makes that
/// impossible ends the machine with the `error` event.
NextKernel LoadNextKernel(const LoadRequest& request);

}  // namespace kexec
