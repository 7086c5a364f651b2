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

FragmentTree::Payload FragmentTree::PayloadOf(uint64_t id) const {
  base::Random random = payloads_.ForLaterSeed(id);
  const size_t size = random.Below(kMaxPayload);
  return {random, size};
}

void FragmentTree::Payload::Make(uint8_t* place) const {
  struct [[gnu::may_alias, gnu::packed, gnu::aligned(4)]] Word {
    uint64_t value;
  };
  base::Random random = words;
  uint8_t* const end = place + size;
  uint8_t* at = place;
#pragma clang loop unroll_count(16)
  for (size_t left = size / sizeof(Word); left != 0; --left, at += sizeof(Word)) {
    reinterpret_cast<Word*>(at)->value = random.Next();
  }
  for (uint64_t last = at == end ? 0 : random.Next(); at != end; last >>= 8) {
    *at++ = static_cast<uint8_t>(last);
  }
}

}  // namespace scenarios
