// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/random.h"
#include "kernel/base/region_set.h"
#include "khocore/scratch.h"

namespace kexec {

/// Finds places in scratch for the pieces of the next kernel, each wholly inside one area, that do
/// not overlap each other.
class SegmentPlacer {
 public:
  /// Both outlive the placer.
  SegmentPlacer(const khocore::Scratch& scratch, base::Random& random)
      : scratch_(scratch), random_(random) {}

  /// A random place of whole pages at or above `minimum`; null when nothing fits.
  khocore::PhysRange Place(uint64_t size, uint64_t alignment, uint64_t minimum);

 private:
  khocore::PhysAddr RandomStart(uint64_t minimum);
  khocore::PhysAddr FindHole(uint64_t bytes, uint64_t alignment, khocore::PhysAddr from) const;

  const khocore::Scratch& scratch_;
  base::Random& random_;
  base::RegionSet taken_;
};

}  // namespace kexec
