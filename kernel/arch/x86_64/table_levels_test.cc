// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/table_levels.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>

#include "kernel/arch/x86_64/image_base.h"

namespace arch {
namespace {

constexpr uint64_t kFlags = kPresent | kWritable;
/// _PAGE_NOPTISHADOW of Linux, the highest bit that the CPU leaves to software, and the lowest.
constexpr uint64_t kSoftwareBits = uint64_t{1} << 58 | uint64_t{1} << 52 | uint64_t{1} << 9;

/// Tables in this process: physical addresses are its own.
class ChangeLevelsTest : public testing::Test {
 protected:
  uint64_t NewTable() {
    if (left_ == 0) return 0;
    --left_;
    return reinterpret_cast<uint64_t>(tables_.emplace_back().entries);
  }

  /// As a kernel has it: some RAM one to one, and its image.
  PageTables Build(unsigned levels) {
    const auto new_table = [this] { return NewTable(); };
    PageTables tables(NewTable(), levels, 0);
    EXPECT_TRUE(tables.Map(0, 0, kEarlyMapEnd, Leaf::kHugePage, kFlags, new_table));
    EXPECT_TRUE(tables.Map(kHigh, kHigh, kHugePageSize, Leaf::kHugePage, kFlags, new_table));
    EXPECT_TRUE(tables.Map(IMAGE_BASE, kImage, kLargePageSize, Leaf::kPage, kPresent, new_table));
    return tables;
  }

  uint64_t Change(const PageTables& tables, unsigned to) {
    return ChangeLevels(tables.root(), to, 0, [this] { return NewTable(); });
  }

  static void ExpectSame(uint64_t root, unsigned levels) {
    PageTables tables(root, levels, 0);
    const auto mapped = [&tables](uint64_t at) {
      const uint64_t* entry = tables.FindLeaf(at);
      return entry == nullptr ? 0 : *entry;
    };
    EXPECT_EQ(mapped(0), kFlags | kLargePage);
    EXPECT_EQ(mapped(kEarlyMapEnd - 1), (kEarlyMapEnd - kHugePageSize) | kFlags | kLargePage);
    EXPECT_EQ(mapped(kEarlyMapEnd), 0u);
    EXPECT_EQ(mapped(kHigh), kHigh | kFlags | kLargePage);
    EXPECT_EQ(mapped(IMAGE_BASE), kImage | kPresent);
    EXPECT_EQ(mapped(IMAGE_BASE + kLargePageSize - 1), (kImage + 0x1ff000) | kPresent);
  }

  /// The last GiB of the lower half.
  static constexpr uint64_t kHigh = (uint64_t{1} << 47) - kHugePageSize;
  static constexpr uint64_t kImage = 0x7e00000;

  struct alignas(4096) Table {
    uint64_t entries[kTableEntries] = {};
  };
  std::deque<Table> tables_;
  size_t left_ = 64;
};

TEST_F(ChangeLevelsTest, MapsTheSameEitherWay) {
  PageTables four = Build(4);
  const uint64_t five = Change(four, 5);
  ASSERT_NE(five, 0u);
  ExpectSame(five, 5);
  ExpectSame(four.root(), 4);
  const uint64_t back = Change(PageTables(five, 5, 0), 4);
  ASSERT_NE(back, 0u);
  ExpectSame(back, 4);
  ExpectSame(five, 5);
}

TEST_F(ChangeLevelsTest, MapsNothingTwice) {
  const uint64_t five = Change(Build(4), 5);
  PageTables tables(five, 5, 0);
  const uint64_t* top = reinterpret_cast<const uint64_t*>(five);
  for (size_t i = 1; i < kTableEntries - 1; ++i) EXPECT_EQ(top[i], 0u) << i;
  // Where the image would be, and RAM, if each half had the other's entries.
  constexpr uint64_t kTop48 = uint64_t{1} << 48;
  EXPECT_EQ(tables.FindLeaf(IMAGE_BASE & (kTop48 - 1)), nullptr);
  EXPECT_EQ(tables.FindLeaf(0 - kTop48), nullptr);
}

TEST_F(ChangeLevelsTest, FollowsNoSoftwareBits) {
  PageTables five = Build(5);
  auto* top = reinterpret_cast<uint64_t*>(five.root());
  top[0] |= kSoftwareBits;
  top[kTableEntries - 1] |= kSoftwareBits | kNoExecute;
  ExpectSame(Change(five, 4), 4);
}

TEST_F(ChangeLevelsTest, LeavesOutWhatIsNotMapped) {
  const auto new_table = [this] { return NewTable(); };
  PageTables five(NewTable(), 5, 0);
  ASSERT_TRUE(five.Map(0, 0, kHugePageSize, Leaf::kHugePage, kFlags, new_table));
  const uint64_t four = Change(five, 4);
  ASSERT_NE(four, 0u);
  PageTables tables(four, 4, 0);
  EXPECT_NE(tables.FindLeaf(0), nullptr);
  EXPECT_EQ(tables.FindLeaf(IMAGE_BASE), nullptr);
}

TEST_F(ChangeLevelsTest, FailsWithoutTables) {
  const PageTables four = Build(4);
  const PageTables five = Build(5);
  for (size_t left = 0; left < kMaxTopTables; ++left) {
    left_ = left;
    EXPECT_EQ(Change(four, 5), 0u) << left;
  }
  left_ = kMaxTopTables;
  EXPECT_NE(Change(four, 5), 0u);
  EXPECT_EQ(left_, 0u);
  EXPECT_EQ(Change(five, 4), 0u);
  left_ = 1;
  EXPECT_NE(Change(five, 4), 0u);
}

}  // namespace
}  // namespace arch
