// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/types.h"

#include <gtest/gtest.h>

#include "khocore/function_ref.h"

namespace khocore {
namespace {

constexpr PhysRange Range(uint64_t begin, uint64_t size) {
  return {PhysAddr::FromRaw(begin), size};
}
constexpr uint64_t kMax = ~uint64_t{0};

TEST(PhysRange, ContainsAtItsEdges) {
  constexpr PhysRange range = Range(0x1000, 0x1000);
  EXPECT_TRUE(range.Contains(Range(0x1000, 0x1000)));
  EXPECT_TRUE(range.Contains(Range(0x1fff, 1)));
  EXPECT_TRUE(range.Contains(Range(0x2000, 0)));
  EXPECT_FALSE(range.Contains(Range(0xfff, 1)));
  EXPECT_FALSE(range.Contains(Range(0x1fff, 2)));
  EXPECT_FALSE(range.Contains(Range(0x2000, 1)));
  EXPECT_FALSE(range.Contains(Range(0x2001, 0)));
}

TEST(PhysRange, AnswersForRangesThatWrap) {
  constexpr PhysRange range = Range(0x1000, 0x1000);
  EXPECT_FALSE(range.Contains(Range(0x1800, kMax)));
  EXPECT_FALSE(range.Contains(Range(kMax, 0x1801)));
  EXPECT_TRUE(range.Overlaps(Range(0x1800, kMax)));
  EXPECT_FALSE(range.Overlaps(Range(kMax, 0x1801)));
  EXPECT_TRUE(Range(kMax, 1).Wraps());
  EXPECT_TRUE(Range(0x1000, kMax).Wraps());
  EXPECT_FALSE(Range(0, kMax).Wraps());
  EXPECT_FALSE(Range(kMax, 0).Wraps());
}

TEST(PhysRange, OverlapsOnlyWithCommonBytes) {
  constexpr PhysRange range = Range(0x1000, 0x1000);
  EXPECT_TRUE(range.Overlaps(range));
  EXPECT_TRUE(range.Overlaps(Range(0x1fff, 1)));
  EXPECT_TRUE(range.Overlaps(Range(0, kMax)));
  EXPECT_TRUE(range.Overlaps(Range(0xfff, 2)));
  EXPECT_FALSE(range.Overlaps(Range(0xfff, 1)));
  EXPECT_FALSE(range.Overlaps(Range(0x2000, 1)));
  EXPECT_FALSE(range.Overlaps(Range(0x1800, 0)));
  EXPECT_FALSE(Range(0x1800, 0).Overlaps(range));
}

TEST(Block, IsAlignedToItsSize) {
  EXPECT_TRUE((Block{PageFrame::FromNumber(0), Order::FromLog2(30)}).IsAligned());
  EXPECT_TRUE((Block{PageFrame::FromNumber(8), Order::FromLog2(3)}).IsAligned());
  EXPECT_FALSE((Block{PageFrame::FromNumber(8), Order::FromLog2(4)}).IsAligned());
  // 2^19 pages are 2 GiB, which does not fit 31 bits.
  const Block block{PageFrame::FromNumber(uint64_t{1} << 19), Order::FromLog2(19)};
  EXPECT_TRUE(block.IsAligned());
  EXPECT_EQ(block.bytes(), uint64_t{2} << 30);
  EXPECT_EQ(block.end().raw(), uint64_t{4} << 30);
}

TEST(Align, RoundsToPowersOfTwo) {
  EXPECT_EQ(AlignUp(0x1001, 0x1000), 0x2000u);
  EXPECT_EQ(AlignUp(0x1000, 0x1000), 0x1000u);
  EXPECT_EQ(AlignDown(0x1fff, 0x1000), 0x1000u);
  EXPECT_EQ(AlignUp(0, 0x1000), 0u);
}

TEST(Align, NeverWraps) {
  constexpr uint64_t kLast = ~uint64_t{0xfff};
  EXPECT_EQ(AlignUp(kLast - 1, 0x1000), kLast);
  EXPECT_EQ(AlignUp(kLast, 0x1000), kLast);
  EXPECT_EQ(AlignUp(kLast + 1, 0x1000), kLast);
  EXPECT_EQ(AlignUp(~uint64_t{0}, 0x1000), kLast);
  EXPECT_EQ(AlignUp(~uint64_t{0}, 1), ~uint64_t{0});
}

TEST(WholePages, CoverARangeAndNeverWrap) {
  EXPECT_EQ(WholePages(Range(kPageSize, 2 * kPageSize)), Range(kPageSize, 2 * kPageSize));
  EXPECT_EQ(WholePages(Range(kPageSize + 1, 1)), Range(kPageSize, kPageSize));
  EXPECT_EQ(WholePages(Range(2 * kPageSize - 1, 2)), Range(kPageSize, 2 * kPageSize));
  EXPECT_EQ(WholePages(Range(kPageSize, 0)), Range(kPageSize, 0));
  constexpr uint64_t kLast = AlignDown(kMax, kPageSize);
  EXPECT_EQ(WholePages(Range(0, kMax)), Range(0, kLast));
  EXPECT_EQ(WholePages(Range(kPageSize, kMax)), Range(kPageSize, kLast - kPageSize));
  EXPECT_EQ(WholePages(Range(kLast - 1, 2)), Range(kLast - kPageSize, kPageSize));
  EXPECT_EQ(WholePages(Range(kMax, 1)), Range(kLast, 0));
  EXPECT_EQ(WholePages(Range(kMax, kMax)), Range(kLast, 0));
}

TEST(FunctionRef, CopiesReferToTheCallable) {
  int calls = 0;
  const auto count = [&calls](int by) { return calls += by; };
  FunctionRef<int(int)> copy = [](int) { return 0; };
  {
    FunctionRef<int(int)> first = count;
    copy = first;
    FunctionRef<int(int)> second(first);
    EXPECT_EQ(second(1), 1);
  }
  EXPECT_EQ(copy(2), 3);
}

}  // namespace
}  // namespace khocore
