// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace khocore {

/// The areas that never hold preserved memory and that the next kernel may use before it knows
/// what is preserved. Inherited unchanged along a chain of kernels.
class Scratch {
 public:
  static constexpr size_t kMaxAreas = 64;

  /// Reads the array of `abi::ScratchArea` at `array`, whose size in bytes the boot protocol gave.
  /// Errors: `kScratchLength` (empty, no multiple of 16, more than `kMaxAreas`), `kOutsideRam` (the
  /// array or an area), `kScratchUnaligned` (start or size not a multiple of
  /// `abi::kScratchAlignment`), `kScratchOverlap`. Single areas may be empty: Linux hands over such
  /// a one where all memory is low memory. All of them empty is `kScratchLength`.
  static Result<Scratch> Read(const PhysicalMemory& memory, PhysRange array);

  /// Adds an area, as the first kernel of a chain does. Errors: as `Read` for a single area;
  /// `kNoSpace` when full.
  Status Add(PhysRange area);

  bool Overlaps(PhysRange range) const;

  PhysRange area(size_t index) const { return areas_[index]; }
  Span<const PhysRange> areas() const { return {areas_, count_}; }
  size_t area_count() const { return count_; }
  uint64_t bytes() const;  ///< the sum of all areas

 private:
  PhysRange areas_[kMaxAreas];
  size_t count_ = 0;
};

}  // namespace khocore
