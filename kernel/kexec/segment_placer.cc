// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/kexec/segment_placer.h"

namespace kexec {

using base::FindHoleIn;
using khocore::PhysAddr;
using khocore::PhysRange;

PhysRange SegmentPlacer::Place(uint64_t size, uint64_t alignment, PhysAddr minimum,
                               PhysAddr limit) {
  const uint64_t bytes = khocore::AlignUp(size, khocore::kPageSize);
  PhysAddr place = FindHole(bytes, alignment, RandomStart(minimum, limit), limit);
  if (place.is_null()) place = FindHole(bytes, alignment, minimum, limit);
  if (place.is_null()) return {};
  if (!taken_.Add({place, bytes})) return {};
  return {place, bytes};
}

PhysAddr SegmentPlacer::RandomStart(PhysAddr minimum, PhysAddr limit) {
  uint64_t offset = random_.Below(scratch_.bytes());
  for (const PhysRange& area : scratch_.areas()) {
    const PhysAddr at = area.begin + (offset < area.size ? offset : 0);
    if (offset < area.size && minimum <= at && at < limit) return at;
    offset -= offset < area.size ? 0 : area.size;
  }
  return minimum;
}

/// Areas may touch; what lies in two of them is in neither.
PhysAddr SegmentPlacer::FindHole(uint64_t bytes, uint64_t alignment, PhysAddr from,
                                 PhysAddr limit) const {
  for (const PhysRange& area : scratch_.areas()) {
    const PhysAddr hole = FindHoleIn(area, bytes, alignment, taken_, from, limit);
    if (!hole.is_null()) return hole;
  }
  return PhysAddr();
}

}  // namespace kexec
