// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/content.h"

#include "kernel/base/direct_map.h"
#include "kernel/base/hash.h"
#include "kernel/base/random.h"

namespace rig {
namespace {

using base::Direct;
using base::Hash;
using base::Random;
using khocore::PageFrame;
using khocore::PhysRange;

/// What one index stands for, whatever the size of a page.
constexpr uint64_t kPartBytes = 4096;
constexpr uint64_t kParts = khocore::kPageSize / kPartBytes;
constexpr uint64_t kWords = kPartBytes / sizeof(uint64_t);

uint64_t BaseOf(uint64_t seed, uint32_t owner, uint64_t index) {
  // Constant for the whole run; hashing the name again for every page would cost more than a page.
  static const uint64_t purpose = Hash("content", 7);
  return Random(seed + purpose + (uint64_t{owner} << 32) + index).Next();
}

}  // namespace

uint32_t ContentOwner(const char* name) {
  return static_cast<uint32_t>(Hash(name, __builtin_strlen(name)));
}

void FillPage(PageFrame page, uint64_t seed, uint32_t owner, uint64_t index) {
  auto* word = Direct<uint64_t>(page.address());
  for (uint64_t part = 0; part < kParts; ++part, word += kWords) {
    uint64_t value = BaseOf(seed, owner, index * kParts + part);
#pragma clang loop unroll_count(8)
    for (uint64_t i = 0; i < kWords; ++i, value += Random::kIncrement) word[i] = value;
  }
}

void FillContent(PhysRange range, uint64_t seed, uint32_t owner) {
  const PageFrame first = PageFrame::Containing(range.begin);
  for (uint64_t i = 0; i < range.size / khocore::kPageSize; ++i) {
    FillPage(first + i, seed, owner, i);
  }
}

bool HasContent(PageFrame page, uint64_t seed, uint32_t owner, uint64_t index) {
  const auto* word = Direct<const uint64_t>(page.address());
  uint64_t different = 0;
  for (uint64_t part = 0; part < kParts; ++part, word += kWords) {
    uint64_t value = BaseOf(seed, owner, index * kParts + part);
#pragma clang loop unroll_count(8)
    for (uint64_t i = 0; i < kWords; ++i, value += Random::kIncrement) different |= word[i] ^ value;
  }
  return different == 0;
}

}  // namespace rig
