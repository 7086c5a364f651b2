// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "khocore/types.h"

namespace base {

/// Which addresses belong to which NUMA node. What lies between two ranges belongs to the node of
/// the lower one, and what lies below all to that of the lowest, so every address has a node; there
/// is one node when no range was added. Nodes begin with a page: one that two of them share belongs
/// to the lower.
class NodeMap {
 public:
  static constexpr size_t kCapacity = 64;

  /// Adds memory of `node`, in any order. False, and the map as it was, for a range that wraps or
  /// overlaps memory of another node, and when there is no room.
  [[nodiscard]] bool Add(khocore::PhysRange range, uint32_t node);

  /// Calls `visit(part, node)` for every part of memory that lies in one node, ascending; together
  /// they are all pages but the last of the address space.
  template <typename Visit>
  void ForEachPart(Visit visit) const {
    const khocore::PhysAddr end =
        khocore::PhysAddr::FromRaw(khocore::AlignDown(~uint64_t{0}, khocore::kPageSize));
    khocore::PhysRange rest{khocore::PhysAddr(), end.raw()};
    while (rest.size != 0) {
      const khocore::PhysRange part = FrontOf(rest);
      visit(part, NodeOf(part.begin));
      rest = {part.end(), rest.size - part.size};
    }
  }

  /// The front part of `range` that lies in one node: all of it, mostly.
  khocore::PhysRange FrontOf(khocore::PhysRange range) const {
    return count_ < 2 ? range : Cut(range);
  }
  /// Whether all of `range` lies in one node.
  bool IsInOne(khocore::PhysRange range) const { return FrontOf(range).size == range.size; }
  uint32_t NodeOf(khocore::PhysAddr address) const;

 private:
  struct Entry {
    khocore::PhysRange range;
    uint32_t node;
  };

  khocore::PhysRange Cut(khocore::PhysRange range) const;

  Entry entries_[kCapacity] = {};  ///< ascending by their begin
  size_t count_ = 0;
};

}  // namespace base
