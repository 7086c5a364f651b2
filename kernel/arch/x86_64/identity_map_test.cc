// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/identity_map.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "kernel/arch/x86_64/page_tables.h"

namespace arch {
namespace {

using khocore::Error;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;

/// RAM whose pointers are its physical addresses, so it lies far above 4 GiB.
class Pages final : public khocore::PageSource {
 public:
  static constexpr size_t kCount = 32;

  explicit Pages(size_t available) : available_(available) {}

  Result<PageFrame> AllocatePage() override {
    if (taken_.size() == available_) return Error{ErrorCode::kOutOfMemory, PhysAddr()};
    taken_.push_back(range().begin + taken_.size() * kPageSize);
    return PageFrame::Containing(taken_.back());
  }
  void FreePage(PageFrame) override { FAIL() << "the jump needs every page"; }

  PhysRange range() const {
    return {PhysAddr::FromRaw(reinterpret_cast<uint64_t>(memory_.get())), sizeof(Memory)};
  }
  const std::vector<PhysAddr>& taken() const { return taken_; }

 private:
  struct Memory {
    alignas(kPageSize) uint8_t bytes[kCount * kPageSize];
  };
  size_t available_;
  std::unique_ptr<Memory> memory_ = std::make_unique<Memory>();
  std::vector<PhysAddr> taken_;
};

class IdentityMapTest : public testing::TestWithParam<unsigned> {
 protected:
  /// 1 GiB below 4 GiB, 2 GiB and a page above, which is never touched, and the pages themselves.
  static khocore::PhysicalMemory Ram(const Pages& pages) {
    khocore::PhysicalMemory ram;
    for (const PhysRange range : {kLow, kHigh, pages.range()}) {
      EXPECT_TRUE(ram.AddWindow(range, nullptr).ok());
    }
    return ram;
  }

  static uint64_t EntryFor(uint64_t root, uint64_t address) {
    const auto entries = PageTables(root, GetParam(), 0).Find(address, Leaf::kLargePage);
    return entries.size == 0 ? 0 : entries[0];
  }

  static constexpr PhysRange kLow{PhysAddr::FromRaw(0x100000), uint64_t{1} << 30};
  static constexpr PhysRange kHigh{PhysAddr::FromRaw(0x100000000), (uint64_t{2} << 30) + kPageSize};
};

TEST_P(IdentityMapTest, MapsItsOwnTables) {
  Pages pages(Pages::kCount);
  const Result<PhysAddr> root = BuildIdentityMap(GetParam(), false, Ram(pages), pages);
  ASSERT_TRUE(root.ok());
  ASSERT_FALSE(pages.taken().empty());
  for (const PhysAddr table : pages.taken()) {
    EXPECT_EQ(EntryFor(root.value().raw(), table.raw()),
              khocore::AlignDown(table.raw(), kLargePageSize) | kPresent | kWritable | kLargePage);
  }
}

TEST_P(IdentityMapTest, MapsWhatLiesBelowFourGibibytesAndRamAbove) {
  Pages pages(Pages::kCount);
  const Result<PhysAddr> root = BuildIdentityMap(GetParam(), false, Ram(pages), pages);
  ASSERT_TRUE(root.ok());
  const uint64_t end = khocore::AlignUp(kHigh.end().raw(), kLargePageSize);
  for (uint64_t at = 0; at < end; at += kLargePageSize) {
    ASSERT_EQ(EntryFor(root.value().raw(), at), at | kPresent | kWritable | kLargePage);
  }
  EXPECT_EQ(EntryFor(root.value().raw(), end), 0u);
}

TEST_P(IdentityMapTest, TakesAnEntryPerGibibyteWhereTheCpuCan) {
  Pages pages(Pages::kCount);
  khocore::PhysicalMemory ram = Ram(pages);
  const PhysRange far{PhysAddr::FromRaw((uint64_t{500} << 30) + kPageSize), kPageSize};
  ASSERT_TRUE(ram.AddWindow(far, nullptr).ok());
  const Result<PhysAddr> root = BuildIdentityMap(GetParam(), true, ram, pages);
  ASSERT_TRUE(root.ok());
  PageTables tables(root.value().raw(), GetParam(), 0);
  for (const uint64_t gibibyte : {0, 1, 3, 4, 5, 6, 500}) {
    const uint64_t* entry = tables.FindLeaf(gibibyte * kHugePageSize + 0x345678);
    ASSERT_NE(entry, nullptr) << gibibyte;
    EXPECT_EQ(*entry, gibibyte * kHugePageSize | kPresent | kWritable | kLargePage);
  }
  EXPECT_EQ(tables.FindLeaf(7 * kHugePageSize), nullptr);
  EXPECT_EQ(tables.FindLeaf(499 * kHugePageSize), nullptr);
}

TEST_P(IdentityMapTest, SaysWhenThereIsNoPageForAnyOfItsTables) {
  Pages enough(Pages::kCount);
  ASSERT_TRUE(BuildIdentityMap(GetParam(), false, Ram(enough), enough).ok());
  for (size_t available = 0; available < enough.taken().size(); ++available) {
    Pages pages(available);
    const Result<PhysAddr> root = BuildIdentityMap(GetParam(), false, Ram(pages), pages);
    ASSERT_FALSE(root.ok()) << available;
    EXPECT_EQ(root.error().code, ErrorCode::kOutOfMemory);
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, IdentityMapTest, testing::Values(4u, 5u));

}  // namespace
}  // namespace arch
