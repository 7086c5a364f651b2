// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/physical_memory.h"

#include <gtest/gtest.h>

#include "khocore/testing/test_machine.h"

namespace khocore {
namespace {

constexpr uint64_t kMax = ~uint64_t{0};

PhysRange Range(uint64_t begin, uint64_t size) { return {Addr(begin), size}; }

class PhysicalMemoryTest : public testing::Test {
 protected:
  PhysicalMemory memory_;
  uint8_t bytes_[0x8000];
};

TEST_F(PhysicalMemoryTest, FindsOnlyInsideOneWindow) {
  ASSERT_OK(memory_.AddWindow(Range(0x1000, 0x1000), bytes_));
  ASSERT_OK(memory_.AddWindow(Range(0x5000, 0x2000), bytes_ + 0x4000));
  EXPECT_EQ(memory_.Find(Range(0x1000, 0x1000)), bytes_);
  EXPECT_EQ(memory_.Find(Range(0x1fff, 1)), bytes_ + 0xfff);
  EXPECT_EQ(memory_.Find(Range(0x5001, 0x1fff)), bytes_ + 0x4001);
  EXPECT_EQ(memory_.Find(Range(0xfff, 1)), nullptr);
  EXPECT_EQ(memory_.Find(Range(0x1fff, 2)), nullptr);
  EXPECT_EQ(memory_.Find(Range(0x1000, 0x6000)), nullptr);
  EXPECT_EQ(memory_.Find(Range(kMax, 0x2000)), nullptr);
  EXPECT_EQ(memory_.Find(Range(0x1800, kMax)), nullptr);
}

TEST_F(PhysicalMemoryTest, NamesTheWindowOfAnAddress) {
  ASSERT_OK(memory_.AddWindow(Range(0x1000, 0x1000), bytes_));
  ASSERT_OK(memory_.AddWindow(Range(0x3000, 0x2000), bytes_ + 0x2000));
  EXPECT_EQ(memory_.WindowOf(PhysAddr::FromRaw(0x1fff)), Range(0x1000, 0x1000));
  EXPECT_EQ(memory_.WindowOf(PhysAddr::FromRaw(0x3000)), Range(0x3000, 0x2000));
  for (const uint64_t none : {uint64_t{0}, uint64_t{0xfff}, uint64_t{0x2000}, uint64_t{0x5000}}) {
    EXPECT_EQ(memory_.WindowOf(PhysAddr::FromRaw(none)).size, 0u) << none;
  }
}

TEST_F(PhysicalMemoryTest, MapNamesTheRange) {
  ASSERT_OK(memory_.AddWindow(Range(0x1000, 0x1000), bytes_));
  const Result<void*> inside = memory_.Map(Range(0x1800, 8));
  ASSERT_OK(inside);
  EXPECT_EQ(inside.value(), bytes_ + 0x800);
  const Result<void*> outside = memory_.Map(Range(0x1ffc, 8));
  EXPECT_ERROR(outside, ErrorCode::kOutsideRam, 0x1ffcu);
  EXPECT_EQ(outside.error().found, 8u);
}

TEST_F(PhysicalMemoryTest, KeepsWindowsSorted) {
  ASSERT_OK(memory_.AddWindow(Range(0x5000, 0x1000), bytes_));
  ASSERT_OK(memory_.AddWindow(Range(0x1000, 0x1000), bytes_ + 0x1000));
  ASSERT_OK(memory_.AddWindow(Range(0x3000, 0x1000), bytes_ + 0x2000));
  ASSERT_EQ(memory_.window_count(), 3u);
  EXPECT_EQ(memory_.window(0), Range(0x1000, 0x1000));
  EXPECT_EQ(memory_.window(1), Range(0x3000, 0x1000));
  EXPECT_EQ(memory_.window(2), Range(0x5000, 0x1000));
  EXPECT_EQ(memory_.Find(Range(0x5000, 1)), bytes_);
  memory_.Clear();
  EXPECT_EQ(memory_.window_count(), 0u);
  EXPECT_EQ(memory_.Find(Range(0x5000, 1)), nullptr);
}

TEST_F(PhysicalMemoryTest, MergesWhatTouchesInBothSpaces) {
  ASSERT_OK(memory_.AddWindow(Range(0x1000, 0x1000), bytes_ + 0x1000));
  ASSERT_OK(memory_.AddWindow(Range(0x3000, 0x1000), bytes_ + 0x3000));
  ASSERT_OK(memory_.AddWindow(Range(0x5000, 0x1000), bytes_ + 0x4000));
  EXPECT_EQ(memory_.window_count(), 3u);
  ASSERT_OK(memory_.AddWindow(Range(0x2000, 0x1000), bytes_ + 0x2000));  // both neighbours
  ASSERT_EQ(memory_.window_count(), 2u);
  EXPECT_EQ(memory_.window(0), Range(0x1000, 0x3000));
  EXPECT_EQ(memory_.window(1), Range(0x5000, 0x1000));
  ASSERT_OK(memory_.AddWindow(Range(0, 0x1000), bytes_));  // the one above
  EXPECT_EQ(memory_.window(0), Range(0, 0x4000));
  EXPECT_EQ(memory_.Find(Range(0, 0x4000)), bytes_);
  ASSERT_OK(memory_.AddWindow(Range(0x6000, 0x1000), bytes_ + 0x5000));  // the one below
  EXPECT_EQ(memory_.window(1), Range(0x5000, 0x2000));
  // Touches in physical memory only.
  ASSERT_OK(memory_.AddWindow(Range(0x4000, 0x1000), bytes_ + 0x7000));
  EXPECT_EQ(memory_.window_count(), 3u);
  EXPECT_EQ(memory_.Find(Range(0x3fff, 2)), nullptr);
}

TEST_F(PhysicalMemoryTest, FindsInTheLargestHoweverItBecameThat) {
  ASSERT_OK(memory_.AddWindow(Range(0x1000, 0x2000), bytes_ + 0x1000));
  ASSERT_OK(memory_.AddWindow(Range(0x5000, 0x1000), bytes_ + 0x5000));
  ASSERT_OK(memory_.AddWindow(Range(0x4000, 0x1000), bytes_ + 0x4000));  // the one above grows
  ASSERT_OK(memory_.AddWindow(Range(0x6000, 0x1000), bytes_ + 0x6000));  // the one below grows
  EXPECT_EQ(memory_.Find(Range(0x4000, 0x3000)), bytes_ + 0x4000);
  EXPECT_EQ(memory_.WindowOf(Addr(0x6fff)), Range(0x4000, 0x3000));
  EXPECT_EQ(memory_.Find(Range(0x1000, 0x2000)), bytes_ + 0x1000);
  ASSERT_OK(memory_.AddWindow(Range(0x3000, 0x1000), bytes_ + 0x3000));  // all are one
  EXPECT_EQ(memory_.Find(Range(0x1000, 0x6000)), bytes_ + 0x1000);
  EXPECT_EQ(memory_.WindowOf(Addr(0x1000)), Range(0x1000, 0x6000));
  memory_.Clear();
  EXPECT_EQ(memory_.Find(Range(0x1000, 1)), nullptr);
  EXPECT_EQ(memory_.WindowOf(Addr(0x1000)).size, 0u);
}

TEST_F(PhysicalMemoryTest, RefusesOverlap) {
  ASSERT_OK(memory_.AddWindow(Range(0x2000, 0x2000), bytes_));
  for (const PhysRange range : {Range(0x1000, 0x1001), Range(0x2000, 0x2000), Range(0x3fff, 1),
                                Range(0, 0x8000), Range(0x2800, 0x100)}) {
    const Status status = memory_.AddWindow(range, bytes_);
    EXPECT_ERROR(status, ErrorCode::kOverlap, range.begin.raw());
    EXPECT_EQ(status.error().expected, 0x2000u);
  }
  EXPECT_EQ(memory_.window_count(), 1u);
}

TEST_F(PhysicalMemoryTest, RefusesEmptyAndWrapping) {
  EXPECT_ERROR(memory_.AddWindow(Range(0x1000, 0), bytes_), ErrorCode::kOutsideRam, 0x1000u);
  EXPECT_ERROR(memory_.AddWindow(Range(0x1000, kMax), bytes_), ErrorCode::kOutsideRam, 0x1000u);
  EXPECT_EQ(memory_.window_count(), 0u);
}

TEST_F(PhysicalMemoryTest, RefusesOneWindowTooMany) {
  for (uint64_t i = 0; i < PhysicalMemory::kMaxWindows; ++i) {
    ASSERT_OK(memory_.AddWindow(Range(i * 0x2000, 0x1000), bytes_));
  }
  const uint64_t next = PhysicalMemory::kMaxWindows * 0x2000;
  EXPECT_ERROR(memory_.AddWindow(Range(next, 0x1000), bytes_), ErrorCode::kNoSpace, next);
  // One that joins a neighbour needs no room.
  EXPECT_TRUE(memory_.AddWindow(Range(0x1000, 0x1000), bytes_ + 0x1000).ok());
}

}  // namespace
}  // namespace khocore
