// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "khocore/types.h"

namespace base {

/// A set of page-aligned physical ranges, sorted and disjoint, in fixed storage: memory bookkeeping
/// for the time before there is an allocator.
class RegionSet {
 public:
  static constexpr size_t kCapacity = 256;

  /// Adds `range`, rounded outwards to pages; merges what touches. False when the set is full, and
  /// then as it was.
  [[nodiscard]] bool Add(khocore::PhysRange range);
  /// Removes `range`, rounded outwards to pages, whatever happens. A hole splits a range: in a full
  /// set the smaller part goes as well, and is returned; otherwise what is returned is empty.
  [[nodiscard]] khocore::PhysRange Remove(khocore::PhysRange range);

  bool Overlaps(khocore::PhysRange range) const;
  /// The lowest address >= `from`, aligned, where `size` bytes of this set begin that `avoid` does
  /// not overlap and that end at or below `limit`; null when there is none.
  khocore::PhysAddr FindHole(uint64_t size, uint64_t alignment, const RegionSet& avoid,
                             khocore::PhysAddr from, khocore::PhysAddr limit) const;

  const khocore::PhysRange* begin() const { return ranges_; }
  const khocore::PhysRange* end() const { return ranges_ + count_; }
  uint64_t bytes() const;

 private:
  bool InsertAt(size_t index, khocore::PhysRange range);
  void EraseAt(size_t index);

  khocore::PhysRange ranges_[kCapacity];
  size_t count_ = 0;
};

/// As `RegionSet::FindHole` for one region.
khocore::PhysAddr FindHoleIn(khocore::PhysRange region, uint64_t size, uint64_t alignment,
                             const RegionSet& avoid, khocore::PhysAddr from,
                             khocore::PhysAddr limit);

}  // namespace base
