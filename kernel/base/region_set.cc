// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/region_set.h"

namespace base {
namespace {

using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::WholePages;

PhysRange Between(PhysAddr begin, PhysAddr end) { return {begin, end - begin}; }

}  // namespace

bool RegionSet::InsertAt(size_t index, PhysRange range) {
  if (count_ == kCapacity) return false;
  for (size_t i = count_; i > index; --i) ranges_[i] = ranges_[i - 1];
  ranges_[index] = range;
  ++count_;
  return true;
}

void RegionSet::EraseAt(size_t index) {
  --count_;
  for (size_t i = index; i < count_; ++i) ranges_[i] = ranges_[i + 1];
}

bool RegionSet::Add(PhysRange range) {
  if (range.size == 0) return true;
  range = WholePages(range);
  size_t index = 0;
  while (index < count_ && ranges_[index].end() < range.begin) ++index;
  // What merges with others needs no room, so a full set is left as it is.
  while (index < count_ && ranges_[index].begin <= range.end()) {
    const PhysRange touched = ranges_[index];
    const PhysAddr begin = touched.begin < range.begin ? touched.begin : range.begin;
    const PhysAddr end = range.end() < touched.end() ? touched.end() : range.end();
    range = Between(begin, end);
    EraseAt(index);
  }
  return InsertAt(index, range);
}

PhysRange RegionSet::Remove(PhysRange range) {
  PhysRange lost;
  if (range.size == 0) return lost;
  range = WholePages(range);
  for (size_t index = 0; index < count_;) {
    const PhysRange whole = ranges_[index];
    if (!whole.Overlaps(range)) {
      ++index;
      continue;
    }
    EraseAt(index);
    PhysRange low;
    PhysRange high;
    if (whole.begin < range.begin) low = Between(whole.begin, range.begin);
    if (range.end() < whole.end()) high = Between(range.end(), whole.end());
    if (count_ + 1 == kCapacity && low.size != 0 && high.size != 0) {
      PhysRange& smaller = low.size < high.size ? low : high;
      lost = smaller;
      smaller = {};
    }
    // What stays on either side does not overlap any more and is passed over by the loop.
    if (high.size != 0) (void)InsertAt(index, high);
    if (low.size != 0) (void)InsertAt(index, low);
  }
  return lost;
}

bool RegionSet::Overlaps(PhysRange range) const {
  for (const PhysRange& region : *this) {
    if (region.Overlaps(range)) return true;
  }
  return false;
}

PhysAddr RegionSet::FindHole(uint64_t size, uint64_t alignment, const RegionSet& avoid,
                             PhysAddr from, PhysAddr limit) const {
  for (const PhysRange& region : *this) {
    const PhysAddr hole = FindHoleIn(region, size, alignment, avoid, from, limit);
    if (!hole.is_null()) return hole;
  }
  return PhysAddr();
}

uint64_t RegionSet::bytes() const {
  uint64_t sum = 0;
  for (const PhysRange& region : *this) sum += region.size;
  return sum;
}

PhysAddr FindHoleIn(PhysRange region, uint64_t size, uint64_t alignment, const RegionSet& avoid,
                    PhysAddr from, PhysAddr limit) {
  const PhysAddr first = region.begin < from ? from : region.begin;
  const PhysAddr end = limit < region.end() ? limit : region.end();
  uint64_t at = khocore::AlignUp(first.raw(), alignment);
  while (at >= first.raw() && at < end.raw() && size <= end.raw() - at) {
    const PhysRange hole{PhysAddr::FromRaw(at), size};
    const PhysRange* conflict = nullptr;
    for (const PhysRange& taken : avoid) {
      if (taken.Overlaps(hole)) conflict = &taken;
    }
    if (conflict == nullptr && at != 0) return hole.begin;
    const uint64_t next =
        conflict == nullptr ? at + alignment : khocore::AlignUp(conflict->end().raw(), alignment);
    if (next <= at) break;  // no multiple is higher
    at = next;
  }
  return PhysAddr();
}

}  // namespace base
