// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "khocore/page_source.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace arch {

/// A piece of the next kernel's memory: `bytes` copied from `source` to `destination`, the rest of
/// the last page zeroed. What follows up to the destination's end is the kernel's own to zero, as
/// every boot protocol has it. Sources lie outside every destination.
struct Segment {
  const char* name;
  khocore::PhysAddr source;
  uint64_t bytes;
  khocore::PhysRange destination;
};

/// A page that the copy uses.
struct JumpPage {
  const char* name;
  const char* rights;  ///< that it needs: "r", "rw" or "rx"
  khocore::PhysAddr address;
};

/// Everything the jump needs, made while allocation is still possible. All its pages come from
/// `pages`, outside every destination, so that the copy cannot overwrite its own code, stack or
/// page tables. Segments and `pages` lie in `ram`, which is mapped during the copy, and when the
/// next kernel starts with the MMU on. Errors: `kOutOfMemory`, which gives no page back: nothing
/// but the end of the run follows.
struct JumpPlan {
  static constexpr size_t kMaxPages = 3;
  khocore::PhysAddr control;  ///< first page of what the architecture prepared
  /// For those who check: the topmost of the tables that the copy runs on, how many levels there
  /// are from it down, and how an entry is read. A machine in a process has none.
  khocore::PhysAddr tables;
  unsigned levels = 0;
  const char* format = "";
  /// What the copy uses besides its sources and destinations.
  JumpPage pages[kMaxPages] = {};
  size_t page_count = 0;
};
khocore::Result<JumpPlan> PrepareJump(khocore::Span<const Segment> segments,
                                      khocore::PhysAddr entry, khocore::PhysAddr parameters,
                                      const khocore::PhysicalMemory& ram,
                                      khocore::PageSource& pages);
/// Copies and jumps. Interrupts are off, the caches are clean when the next kernel starts.
[[noreturn]] void Jump(const JumpPlan& plan);

}  // namespace arch
