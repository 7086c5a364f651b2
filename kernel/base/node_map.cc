// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/node_map.h"

namespace base {

using khocore::PhysAddr;
using khocore::PhysRange;

bool NodeMap::Add(PhysRange range, uint32_t node) {
  if (range.Wraps()) return false;
  const PhysAddr begin = PhysAddr::FromRaw(khocore::AlignUp(range.begin.raw(), khocore::kPageSize));
  if (range.end() <= begin) return true;  // not a page that is its own
  range = {begin, range.end() - begin};
  size_t at = 0;
  for (size_t i = 0; i < count_; ++i) {
    if (entries_[i].node != node && entries_[i].range.Overlaps(range)) return false;
    if (entries_[i].range.begin <= range.begin) at = i + 1;
  }
  if (count_ == kCapacity) return false;
  for (size_t i = count_++; i > at; --i) entries_[i] = entries_[i - 1];
  entries_[at] = {range, node};
  return true;
}

uint32_t NodeMap::NodeOf(PhysAddr address) const {
  uint32_t node = entries_[0].node;
  for (size_t i = 1; i < count_ && entries_[i].range.begin <= address; ++i) {
    node = entries_[i].node;
  }
  return node;
}

PhysRange NodeMap::Cut(PhysRange range) const {
  for (size_t i = 1; i < count_; ++i) {
    const PhysAddr boundary = entries_[i].range.begin;
    if (entries_[i].node == entries_[i - 1].node || boundary <= range.begin) continue;
    if (range.end() <= boundary) break;
    return {range.begin, boundary - range.begin};
  }
  return range;
}

}  // namespace base
