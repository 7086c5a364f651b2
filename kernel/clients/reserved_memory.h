// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/rig/options.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace core {
struct Generation;
}

namespace clients {

/// Named, contiguous memory that stays at its address (Linux's `reserve_mem=`), handed over in the
/// `memblock` subtree.
class ReservedMemory {
 public:
  struct Area {
    char name[32];
    khocore::PhysRange range;
  };

  /// Allocates what the command line asks for and fills it with content from the seed.
  void Create(core::Generation& generation);
  /// Takes back what the previous kernel listed. Errors: those of fragments and of restoring,
  /// `kPropertySize` for an area that is no whole number of pages.
  khocore::Status Restore(core::Generation& generation);
  /// Checks the content against the seed; a difference is a `fail` event.
  void Verify(const core::Generation& generation) const;
  khocore::Status Preserve(core::Generation& generation);
  /// Writes the subtree and adds it to the root.
  khocore::Status Serialize(core::Generation& generation) const;

 private:
  Area areas_[core::Options::kMaxReserved];
  size_t count_ = 0;
};

}  // namespace clients
