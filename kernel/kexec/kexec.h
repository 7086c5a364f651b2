// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/arch.h"

namespace core {

struct Generation;

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
NextKernel LoadNextKernel(Generation& generation);

}  // namespace core
