// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/base/random.h"
#include "khocore/types.h"

namespace scenarios {

/// The tree of fragments that the scenario `recursion` writes, as the seed decides it
/// (docs/scenarios.md has the rules; the host builds the same tree from them).
class FragmentTree {
 public:
  static constexpr uint64_t kDefaultCount = 1200;
  static constexpr uint64_t kSpine = 12;     ///< fragments 0 to 11 are each other's only chain
  static constexpr uint64_t kMaxDepth = 24;  ///< levels, the root being 1
  static constexpr uint64_t kMaxChildren = 8;
  static constexpr uint64_t kMaxPayload = 1024;  ///< bytes, exclusive

  /// What a payload is made of: `size` bytes of a stream of words.
  struct Payload {
    base::Random words;
    size_t size;
    /// Makes the bytes; `place` has `size` of them and is aligned to 4.
    void Make(uint8_t* place) const;
  };

  FragmentTree() = default;
  /// `pages` are `PagesFor(count)` zeroed pages and outlive the tree. They need not adjoin: after a
  /// large tree was handed over, free memory is in small pieces.
  FragmentTree(uint64_t seed, uint64_t count, void* const* pages);
  static uint64_t PagesFor(uint64_t count) { return (count + kNodes - 1) / kNodes; }

  uint64_t count() const { return count_; }
  /// 0 stands for none: the root is nobody's child.
  uint64_t first_child(uint64_t id) const { return node(id).first_child; }
  uint64_t next_sibling(uint64_t id) const { return node(id).next_sibling; }

  /// Where a fragment lies; frame 0 while it is not written.
  khocore::PageFrame page(uint64_t id) const { return node(id).page; }
  void set_page(uint64_t id, khocore::PageFrame page) { node(id).page = page; }

  Payload PayloadOf(uint64_t id) const;

 private:
  struct Node {
    khocore::PageFrame page;
    uint32_t first_child;
    uint32_t next_sibling;
    uint16_t depth;
    uint16_t children;
  };
  static constexpr uint64_t kNodes = khocore::kPageSize / sizeof(Node);  ///< in a page

  Node& node(uint64_t id) const { return static_cast<Node*>(pages_[id / kNodes])[id % kNodes]; }

  base::Random payloads_{0};  ///< of the fragment 0
  uint64_t count_ = 0;
  void* const* pages_ = nullptr;
};

}  // namespace scenarios
