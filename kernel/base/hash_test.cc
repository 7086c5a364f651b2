// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernel/base/random.h"

namespace base {
namespace {

/// What xxhsum prints for the same bytes.
TEST(Hash, IsXxh64WithSeed0) {
  EXPECT_EQ(Hash("", 0), 0xef46db3751d8e999u);
  EXPECT_EQ(Hash("a", 1), 0xd24ec4f1a98c6e5bu);
  EXPECT_EQ(Hash("abc", 3), 0x44bc2cf5ad770999u);
}

TEST(Hash, IsTheSameAtEveryAlignment) {
  std::vector<char> bytes(4096 + 8);
  for (size_t i = 0; i < 4096; ++i) bytes[i] = static_cast<char>(i * 31);
  const uint64_t want = Hash(bytes.data(), 4096);
  for (size_t shift = 1; shift < 8; ++shift) {
    const std::vector<char> original(bytes.begin(), bytes.begin() + 4096);
    std::vector<char> moved(4096 + 8);
    std::copy(original.begin(), original.end(), moved.begin() + static_cast<ptrdiff_t>(shift));
    EXPECT_EQ(Hash(moved.data() + shift, 4096), want) << shift;
  }
}

/// The first numbers of splitmix64 from 0, as its authors' program prints them.
TEST(Random, IsSplitmix64) {
  Random random(0);
  EXPECT_EQ(random.Next(), 0xe220a8397b1dcdafu);
  EXPECT_EQ(random.Next(), 0x6e789e6aa1b965f4u);
  EXPECT_EQ(random.Next(), 0x06c45d188009454fu);
  EXPECT_EQ(Random(0).Below(1000), 0xe220a8397b1dcdafu % 1000);
  EXPECT_EQ(Random(7).Below(1), 0u);
}

TEST(Random, HasAStreamForEachPurpose) {
  const uint64_t hash = Hash("blocks", 6);
  for (const uint64_t seed : {uint64_t{0}, uint64_t{3}, ~uint64_t{0}}) {
    EXPECT_EQ(Random::ForPurpose(seed, "blocks").Next(), Random(seed + hash).Next()) << seed;
  }
  EXPECT_EQ(Random::ForPurpose(3, "blocks").ForLaterSeed(5).Next(),
            Random::ForPurpose(8, "blocks").Next());
}

}  // namespace
}  // namespace base
