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

  static constexpr khocore::PhysAddr kNoLimit = khocore::PhysAddr::FromRaw(~uint64_t{0});

  /// A random place of whole pages at or above `minimum` and below `limit`; null when nothing fits.
  khocore::PhysRange Place(uint64_t size, uint64_t alignment, khocore::PhysAddr minimum,
                           khocore::PhysAddr limit = kNoLimit);

 private:
  khocore::PhysAddr RandomStart(khocore::PhysAddr minimum, khocore::PhysAddr limit);
  khocore::PhysAddr FindHole(uint64_t bytes, uint64_t alignment, khocore::PhysAddr from,
                             khocore::PhysAddr limit) const;

  const khocore::Scratch& scratch_;
  base::Random& random_;
  base::RegionSet taken_;
};

}  // namespace kexec
