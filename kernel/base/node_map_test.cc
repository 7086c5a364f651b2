// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/node_map.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace base {
namespace {

using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;

constexpr uint64_t kMiB = uint64_t{1} << 20;

PhysRange Range(uint64_t begin, uint64_t size) { return {PhysAddr::FromRaw(begin), size}; }

using Parts = std::vector<std::pair<uint64_t, uint32_t>>;  // begin, node

Parts PartsOf(const NodeMap& map) {
  Parts parts;
  PhysAddr at;
  map.ForEachPart([&](PhysRange part, uint32_t node) {
    EXPECT_EQ(part.begin, at);
    at = part.end();
    parts.emplace_back(part.begin.raw(), node);
  });
  EXPECT_EQ(at.raw(), khocore::AlignDown(~uint64_t{0}, kPageSize));
  return parts;
}

TEST(NodeMapTest, WithoutNodesAllIsOne) {
  const NodeMap map;
  EXPECT_EQ(PartsOf(map), (Parts{{0, 0}}));
  EXPECT_TRUE(map.IsInOne(Range(0, uint64_t{1} << 60)));
}

TEST(NodeMapTest, NodesMayInterleaveAndComeInAnyOrder) {
  NodeMap map;
  EXPECT_TRUE(map.Add(Range(40 * kMiB, 20 * kMiB), 3));
  EXPECT_TRUE(map.Add(Range(0, kMiB / 2), 3));
  EXPECT_TRUE(map.Add(Range(kMiB, 9 * kMiB), 3));  // a hole in one node is no boundary
  EXPECT_TRUE(map.Add(Range(10 * kMiB, 20 * kMiB), 0));
  EXPECT_EQ(PartsOf(map), (Parts{{0, 3}, {10 * kMiB, 0}, {40 * kMiB, 3}}));
  EXPECT_EQ(map.FrontOf(Range(9 * kMiB, 2 * kMiB)), Range(9 * kMiB, kMiB));
  EXPECT_EQ(map.FrontOf(Range(9 * kMiB, kMiB)), Range(9 * kMiB, kMiB));
  EXPECT_EQ(map.FrontOf(Range(10 * kMiB, kMiB)), Range(10 * kMiB, kMiB));
  EXPECT_FALSE(map.IsInOne(Range(39 * kMiB, 2 * kMiB)));
  EXPECT_EQ(map.NodeOf(PhysAddr::FromRaw(35 * kMiB)), 0u);  // nobody's: the node below has it
}

TEST(NodeMapTest, ABoundaryInsideAPageIsItsEnd) {
  NodeMap map;
  EXPECT_TRUE(map.Add(Range(0, kMiB + 7), 0));
  EXPECT_TRUE(map.Add(Range(kMiB + 7, kMiB), 1));
  EXPECT_TRUE(map.Add(Range(8 * kMiB + 7, 9), 0));  // no page of its own
  EXPECT_EQ(PartsOf(map), (Parts{{0, 0}, {kMiB + kPageSize, 1}}));
}

TEST(NodeMapTest, WhatContradictsIsRefused) {
  NodeMap map;
  EXPECT_TRUE(map.Add(Range(kMiB, kMiB), 1));
  EXPECT_FALSE(map.Add(Range(kMiB + kPageSize, kPageSize), 2));
  EXPECT_FALSE(map.Add(Range(0, 3 * kMiB), 2));
  EXPECT_FALSE(map.Add(Range(~uint64_t{0} - 5, 10), 2));
  EXPECT_TRUE(map.Add(Range(kMiB, 2 * kMiB), 1));
  EXPECT_EQ(PartsOf(map), (Parts{{0, 1}}));
}

TEST(NodeMapTest, RoomIsBounded) {
  NodeMap map;
  for (size_t i = 0; i < NodeMap::kCapacity; ++i) {
    EXPECT_TRUE(map.Add(Range(i * kMiB, kMiB), static_cast<uint32_t>(i)));
  }
  EXPECT_FALSE(map.Add(Range(uint64_t{1} << 40, kMiB), 1));
  EXPECT_EQ(PartsOf(map).size(), NodeMap::kCapacity);
}

}  // namespace
}  // namespace base
