// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/scenarios/fragment_tree.h"

#include <string.h>

#include "kernel/base/random.h"

namespace scenarios {

FragmentTree::FragmentTree(uint64_t seed, uint64_t count, void* const* pages)
    : seed_(seed), count_(count), pages_(pages) {
  core::Random random = core::Random::ForPurpose(seed, "recursion");
  node(0).depth = 1;
  for (uint64_t id = 1; id < count; ++id) {
    uint64_t parent = id - 1;
    if (id >= kSpine) {
      parent = random.Below(id);
      while (node(parent).children >= kMaxChildren || node(parent).depth >= kMaxDepth) {
        parent = (parent + 1) % id;
      }
    }
    Node& child = node(id);
    child.depth = static_cast<uint16_t>(node(parent).depth + 1);
    child.next_sibling = node(parent).first_child;
    node(parent).first_child = static_cast<uint32_t>(id);
    ++node(parent).children;
  }
}

size_t FragmentTree::Payload(uint64_t id, uint8_t* bytes) const {
  core::Random random = core::Random::ForPurpose(seed_ + id, "payload");
  const size_t length = random.Below(kMaxPayload);
  for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
    const uint64_t word = random.Next();
    const size_t left = length - at;
    memcpy(bytes + at, &word, left < sizeof(word) ? left : sizeof(word));
  }
  return length;
}

}  // namespace scenarios
