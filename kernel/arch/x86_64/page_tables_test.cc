// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/page_tables.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace arch {
namespace {

constexpr uint64_t kImageBase = 0xffffffff80000000;
constexpr uint64_t kFlags = kPresent | kWritable;

class EarlyMapTest : public testing::TestWithParam<unsigned> {
 protected:
  /// The early map uses memory where it lies, so a pointer is its own "physical" address here.
  PageTables Build(uint64_t load_address) {
    pool_->used = 12345;  // whatever the memory held before
    const uint64_t root = BuildEarlyMap(pool_.get(), load_address, kImageBase, GetParam());
    return PageTables(root, GetParam(), 0);
  }

  uint64_t LargePageAt(PageTables& tables, uint64_t address) {
    const khocore::Span<uint64_t> entries = tables.Find(address, Leaf::kLargePage);
    return entries.size == 0 ? 0 : entries[0];
  }

  std::unique_ptr<TablePool> pool_ = std::make_unique<TablePool>();
};

TEST_P(EarlyMapTest, MapsTheFirstFourGiB) {
  PageTables tables = Build(0x200000);
  for (uint64_t at = 0; at < kEarlyMapEnd; at += kLargePageSize) {
    ASSERT_EQ(LargePageAt(tables, at), at | kFlags | kLargePage);
  }
  EXPECT_EQ(LargePageAt(tables, kEarlyMapEnd) & kPresent, 0u);
}

TEST_P(EarlyMapTest, MapsTheImageByPages) {
  constexpr uint64_t kLoad = 0x7fe345000;
  PageTables tables = Build(kLoad);
  const khocore::Span<uint64_t> entries = tables.Find(kImageBase, Leaf::kPage);
  ASSERT_EQ(entries.size, kTableEntries);
  for (uint64_t i = 0; i < kTableEntries; ++i) {
    ASSERT_EQ(entries[i], (kLoad + i * 4096) | kFlags);
  }
}

TEST_P(EarlyMapTest, MapsTheImageWhereItWasLoaded) {
  // The last across the end of the first 512 GiB: two more tables at each of two levels.
  for (const uint64_t load : {0x1fff000ul, 0x100000000ul, 0x1ffffff000ul, 0x7fffff1000ul}) {
    PageTables tables = Build(load);
    for (const uint64_t at : {load, load + kLargePageSize - 1}) {
      const uint64_t page = khocore::AlignDown(at, kLargePageSize);
      EXPECT_EQ(LargePageAt(tables, at), page | kFlags | kLargePage) << std::hex << load;
    }
    EXPECT_LT(pool_->used, TablePool::kEarlyPages);
  }
}

TEST_P(EarlyMapTest, UsesZeroedTables) {
  for (auto& page : pool_->pages) {
    for (uint64_t& entry : page) entry = ~uint64_t{0};
  }
  PageTables tables = Build(0x200000);
  EXPECT_EQ(LargePageAt(tables, kEarlyMapEnd), 0u);
  EXPECT_EQ(tables.Find(0x8000000000, Leaf::kLargePage).size, 0u);
}

INSTANTIATE_TEST_SUITE_P(Levels, EarlyMapTest, testing::Values(4u, 5u));

TEST(PageTablesTest, SaysWhenThereIsNoPageAtAnyLevel) {
  // Four tables lead to a 4 KiB page below a given root.
  for (unsigned available = 0; available < 3; ++available) {
    auto pool = std::make_unique<TablePool>();
    PageTables tables(reinterpret_cast<uint64_t>(pool->Take()), 4, 0);
    unsigned left = available;
    auto new_table = [&] {
      return left-- == 0 ? uint64_t{0} : reinterpret_cast<uint64_t>(pool->Take());
    };
    EXPECT_FALSE(tables.Map(0x1000, 0x1000, 4096, Leaf::kPage, kFlags, new_table));
    EXPECT_EQ(tables.Find(0x1000, Leaf::kPage).size, 0u);
  }
}

TEST(PageTablesTest, FindStopsAtALargePage) {
  auto pool = std::make_unique<TablePool>();
  PageTables tables(reinterpret_cast<uint64_t>(pool->Take()), 4, 0);
  auto new_table = [&] { return reinterpret_cast<uint64_t>(pool->Take()); };
  ASSERT_TRUE(tables.Map(0, 0, kLargePageSize, Leaf::kLargePage, kFlags, new_table));
  EXPECT_EQ(tables.Find(0, Leaf::kPage).size, 0u);
  EXPECT_EQ(tables.Find(0, Leaf::kLargePage).size, kTableEntries);
}

TEST(PageTablesTest, AHugePageHasNoTables) {
  auto pool = std::make_unique<TablePool>();
  PageTables tables(reinterpret_cast<uint64_t>(pool->Take()), 4, 0);
  auto new_table = [&] { return reinterpret_cast<uint64_t>(pool->Take()); };
  constexpr uint64_t kBegin = 7 * kHugePageSize;
  ASSERT_TRUE(tables.Map(kBegin, kBegin, kHugePageSize, Leaf::kHugePage, kFlags, new_table));
  const size_t used = pool->used;
  EXPECT_EQ(tables.Make(kBegin + kLargePageSize, Leaf::kLargePage, new_table).size, 0u);
  EXPECT_EQ(pool->used, used);
  const uint64_t* entry = tables.FindLeaf(kBegin + 12345678);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(*entry, kBegin | kFlags | kLargePage);
  EXPECT_EQ(tables.FindLeaf(kBegin + kHugePageSize), nullptr);
}

TEST(PageTablesTest, MapStopsAtTheEnd) {
  auto pool = std::make_unique<TablePool>();
  PageTables tables(reinterpret_cast<uint64_t>(pool->Take()), 4, 0);
  auto new_table = [&] { return reinterpret_cast<uint64_t>(pool->Take()); };
  constexpr uint64_t kBegin = 0x3fe00000;  // the last large page of the first GiB
  ASSERT_TRUE(tables.Map(kBegin, kBegin, 2 * kLargePageSize, Leaf::kLargePage, kFlags, new_table));
  EXPECT_EQ(tables.Find(kBegin - kLargePageSize, Leaf::kLargePage)[0], 0u);
  EXPECT_NE(tables.Find(kBegin + kLargePageSize, Leaf::kLargePage)[0], 0u);
  EXPECT_EQ(tables.Find(kBegin + 2 * kLargePageSize, Leaf::kLargePage)[0], 0u);
}

TEST(TablePoolTest, IsUsedUpAfterItsPages) {
  auto pool = std::make_unique<TablePool>();
  std::set<uint64_t*> taken;
  for (size_t i = 0; i < TablePool::kPages; ++i) taken.insert(pool->Take());
  EXPECT_EQ(taken.size(), TablePool::kPages);
  EXPECT_EQ(taken.count(nullptr), 0u);
  EXPECT_EQ(pool->Take(), nullptr);
}

}  // namespace
}  // namespace arch
