// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/kexec/segment_placer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace kexec {
namespace {

using base::Random;
using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Scratch;

constexpr uint64_t kMegabyte = 1 << 20;

PhysRange Megabytes(uint64_t begin, uint64_t count) {
  return {PhysAddr::FromRaw(begin * kMegabyte), count * kMegabyte};
}

/// Two areas that touch, and one for itself.
Scratch SomeScratch() {
  Scratch scratch;
  for (const PhysRange area : {Megabytes(4, 4), Megabytes(8, 4), Megabytes(16, 8)}) {
    EXPECT_TRUE(scratch.Add(area).ok());
  }
  return scratch;
}

TEST(SegmentPlacer, EachPlaceIsInsideOneAreaAndAlone) {
  const Scratch scratch = SomeScratch();
  Random random(1);
  for (int round = 0; round < 500; ++round) {
    SegmentPlacer placer(scratch, random);
    std::vector<PhysRange> places;
    for (const uint64_t size : {3 * kMegabyte + 1, 300 * kPageSize, kPageSize}) {
      const PhysRange place = placer.Place(size, kPageSize, {});
      EXPECT_EQ(place.size, khocore::AlignUp(size, kPageSize));
      const auto areas = scratch.areas();
      EXPECT_TRUE(std::any_of(areas.begin(), areas.end(),
                              [&](const PhysRange& area) { return area.Contains(place); }))
          << std::hex << place.begin.raw();
      for (const PhysRange& other : places) EXPECT_FALSE(other.Overlaps(place));
      places.push_back(place);
    }
  }
}

TEST(SegmentPlacer, TouchingAreasAreNotOne) {
  const Scratch scratch = SomeScratch();
  Random random(1);
  EXPECT_TRUE(SegmentPlacer(scratch, random).Place(9 * kMegabyte, kPageSize, {}).size == 0);
  EXPECT_EQ(SegmentPlacer(scratch, random).Place(8 * kMegabyte, kPageSize, {}), Megabytes(16, 8));
}

TEST(SegmentPlacer, KeepsTheMinimum) {
  const Scratch scratch = SomeScratch();
  Random random(1);
  constexpr PhysAddr kMinimum = PhysAddr::FromRaw(17 * kMegabyte);
  for (int round = 0; round < 100; ++round) {
    const PhysRange place = SegmentPlacer(scratch, random).Place(kPageSize, kPageSize, kMinimum);
    EXPECT_GE(place.begin.raw(), kMinimum.raw());
  }
}

TEST(SegmentPlacer, KeepsTheLimit) {
  const Scratch scratch = SomeScratch();
  Random random(1);
  constexpr PhysAddr kLimit = PhysAddr::FromRaw(6 * kMegabyte);
  for (int round = 0; round < 100; ++round) {
    SegmentPlacer placer(scratch, random);
    const PhysRange first = placer.Place(kMegabyte, kPageSize, {}, kLimit);
    EXPECT_EQ(first.size, kMegabyte);
    EXPECT_LE(first.end(), kLimit);
    EXPECT_EQ(placer.Place(2 * kMegabyte, kPageSize, {}, kLimit).size, 0u);
  }
}

}  // namespace
}  // namespace kexec
