// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/scenarios/fragment_tree.h"

namespace scenarios {

FragmentTree::FragmentTree(uint64_t seed, uint64_t count, void* const* pages)
    : payloads_(base::Random::ForPurpose(seed, "payload")), count_(count), pages_(pages) {
  base::Random random = base::Random::ForPurpose(seed, "recursion");
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

void FragmentTree::MakePayload(uint64_t id, Payload* payload) const {
  base::Random random = payloads_.ForLaterSeed(id);
  const size_t size = random.Below(kMaxPayload);
  const size_t words = (size + sizeof(uint64_t) - 1) / sizeof(uint64_t);
#pragma clang loop unroll_count(8)
  for (size_t i = 0; i < words; ++i) payload->words[i] = random.Next();
  payload->size = size;
}

}  // namespace scenarios
