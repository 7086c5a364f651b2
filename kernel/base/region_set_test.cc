// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/region_set.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace base {
namespace {

using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;

PhysAddr Page(uint64_t number) { return PhysAddr::FromRaw(number * kPageSize); }
PhysRange Pages(uint64_t first, uint64_t count) { return {Page(first), count * kPageSize}; }

std::vector<PhysRange> Content(const RegionSet& set) { return {set.begin(), set.end()}; }

TEST(RegionSet, MergesWhatTouchesAndSortsTheRest) {
  RegionSet set;
  EXPECT_TRUE(set.Add(Pages(10, 2)));
  EXPECT_TRUE(set.Add(Pages(2, 3)));
  EXPECT_TRUE(set.Add(Pages(5, 1)));
  EXPECT_EQ(Content(set), (std::vector<PhysRange>{Pages(2, 4), Pages(10, 2)}));
  EXPECT_TRUE(set.Add(Pages(4, 8)));
  EXPECT_EQ(Content(set), (std::vector<PhysRange>{Pages(2, 10)}));
}

TEST(RegionSet, RoundsOutwardsAndSurvivesWrappingRanges) {
  RegionSet set;
  EXPECT_TRUE(set.Add({PhysAddr::FromRaw(kPageSize + 1), 1}));
  EXPECT_EQ(Content(set), (std::vector<PhysRange>{Pages(1, 1)}));
  EXPECT_TRUE(set.Add({PhysAddr::FromRaw(~uint64_t{0} - 10), ~uint64_t{0}}));
  EXPECT_EQ(set.bytes(), kPageSize);
  EXPECT_TRUE(set.Add({PhysAddr(), ~uint64_t{0}}));
  EXPECT_EQ(Content(set).size(), 1u);
}

TEST(RegionSet, RemovesFromTheMiddle) {
  RegionSet set;
  EXPECT_TRUE(set.Add(Pages(0, 10)));
  EXPECT_EQ(set.Remove(Pages(3, 2)).size, 0u);
  EXPECT_EQ(Content(set), (std::vector<PhysRange>{Pages(0, 3), Pages(5, 5)}));
  EXPECT_EQ(set.Remove(Pages(0, 20)).size, 0u);
  EXPECT_TRUE(Content(set).empty());
}

TEST(RegionSet, SaysWhenItIsFull) {
  RegionSet set;
  for (uint64_t i = 0; i < RegionSet::kCapacity; ++i) ASSERT_TRUE(set.Add(Pages(2 * i, 1)));
  EXPECT_FALSE(set.Add(Pages(5000, 1)));
  EXPECT_TRUE(set.Add(Pages(1, 1)));
}

TEST(RegionSet, RemovesWhateverHasNoRoom) {
  RegionSet set;
  for (uint64_t i = 0; i < RegionSet::kCapacity; ++i) ASSERT_TRUE(set.Add(Pages(20 * i, 10)));
  // A hole in the first range splits it, and the part of three pages finds no room.
  EXPECT_EQ(set.Remove(Pages(5, 2)), Pages(7, 3));
  EXPECT_FALSE(set.Overlaps(Pages(5, 15)));
  EXPECT_TRUE(set.Overlaps(Pages(4, 1)));
  // What follows in the same call goes all the same.
  EXPECT_EQ(set.Remove(Pages(2, 25)).size, 0u);
  EXPECT_FALSE(set.Overlaps(Pages(2, 25)));
  EXPECT_TRUE(set.Overlaps(Pages(27, 1)));
}

TEST(RegionSet, FindsHolesBesideWhatToAvoid) {
  RegionSet set;
  RegionSet avoid;
  ASSERT_TRUE(set.Add(Pages(16, 32)));
  ASSERT_TRUE(avoid.Add(Pages(20, 4)));
  const PhysAddr no_limit = PhysAddr::FromRaw(~uint64_t{0});
  EXPECT_EQ(set.FindHole(4 * kPageSize, kPageSize, avoid, PhysAddr(), no_limit), Page(16));
  EXPECT_EQ(set.FindHole(5 * kPageSize, kPageSize, avoid, PhysAddr(), no_limit), Page(24));
  EXPECT_EQ(set.FindHole(8 * kPageSize, 16 * kPageSize, avoid, PhysAddr(), no_limit), Page(32));
  EXPECT_EQ(set.FindHole(4 * kPageSize, kPageSize, avoid, Page(17), no_limit), Page(24));
  EXPECT_TRUE(set.FindHole(8 * kPageSize, kPageSize, avoid, PhysAddr(), Page(31)).is_null());
  EXPECT_TRUE(set.FindHole(33 * kPageSize, kPageSize, RegionSet(), PhysAddr(), no_limit).is_null());
}

TEST(RegionSet, TheSearchForAHoleEndsWithTheAddressSpace) {
  constexpr uint64_t kAlignment = uint64_t{4} << 20;
  constexpr uint64_t kTop = ~uint64_t{0} - kAlignment + 1;  // the last multiple
  const PhysRange region{PhysAddr::FromRaw(kTop), kAlignment - kPageSize};
  RegionSet avoid;
  ASSERT_TRUE(avoid.Add({region.begin, kPageSize}));
  const PhysAddr no_limit = PhysAddr::FromRaw(~uint64_t{0});
  EXPECT_TRUE(FindHoleIn(region, kPageSize, kAlignment, avoid, PhysAddr(), no_limit).is_null());
  EXPECT_EQ(FindHoleIn(region, kPageSize, kPageSize, avoid, PhysAddr(), no_limit).raw(),
            kTop + kPageSize);
  const PhysAddr above = PhysAddr::FromRaw(kTop + 1);
  EXPECT_TRUE(FindHoleIn(region, kPageSize, kAlignment, RegionSet(), above, no_limit).is_null());
  EXPECT_TRUE(
      FindHoleIn(region, ~uint64_t{0}, kPageSize, RegionSet(), PhysAddr(), no_limit).is_null());
}

TEST(RegionSet, AgreesWithABitmap) {
  constexpr uint64_t kPages = 300;
  std::mt19937_64 random(1);
  for (int round = 0; round < 50; ++round) {
    RegionSet set;
    std::vector<bool> model(kPages);
    for (int step = 0; step < 100; ++step) {
      const uint64_t first = random() % kPages;
      const uint64_t count = random() % (kPages - first);
      const bool add = random() % 2 == 0;
      ASSERT_TRUE(add ? set.Add(Pages(first, count)) : set.Remove(Pages(first, count)).size == 0);
      for (uint64_t i = first; i < first + count; ++i) model[i] = add;
      for (uint64_t i = 0; i < kPages; ++i) {
        ASSERT_EQ(set.Overlaps(Pages(i, 1)), model[i]) << "page " << i << ", step " << step;
      }
    }
  }
}

}  // namespace
}  // namespace base
