// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/kernel_map.h"

#include <gtest/gtest.h>

#include <memory>

#include "kernel/arch/cpu_stacks.h"
#include "kernel/arch/x86_64/image_base.h"

namespace arch {
namespace {

using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Status;

constexpr uint64_t kGibibyte = uint64_t{1} << 30;
constexpr uint64_t kLoad = 0x140000000;
constexpr uint64_t kData = kPresent | kWritable | kNoExecute;
constexpr ImageParts kParts{
    .text_end = 0x5000, .rodata_end = 0x8000, .image_end = 0x20000, .stack_guard = 0x18000};

class KernelMapTest : public testing::TestWithParam<unsigned> {
 protected:
  /// The map of the kernel's start: executable, as far as 4 GiB, and the image.
  KernelMapTest()
      : tables_(BuildEarlyMap(pool_.get(), kLoad, IMAGE_BASE, GetParam()), GetParam(), 0) {}

  Status Map(uint64_t begin, uint64_t size, uint64_t flags = 0) {
    changed_ = false;
    return MapIdentity(
        tables_, features_, {PhysAddr::FromRaw(begin), size}, flags,
        [this] { return reinterpret_cast<uint64_t>(pool_->Take()); }, &changed_);
  }
  /// 0 where nothing is mapped.
  uint64_t At(uint64_t address) {
    const uint64_t* entry = tables_.FindLeaf(address);
    return entry == nullptr ? 0 : *entry;
  }
  bool MapStack(size_t number, uint64_t memory) {
    return MapCpuStack(tables_, features_, number, PhysAddr::FromRaw(memory),
                       [this] { return reinterpret_cast<uint64_t>(pool_->TakeForStacks()); });
  }

  std::unique_ptr<TablePool> pool_ = std::make_unique<TablePool>();
  PageTables tables_;
  PagingFeatures features_{
      .no_execute = kNoExecute, .huge_pages = true, .limit = uint64_t{1} << 46};
  bool changed_ = false;
};

TEST_P(KernelMapTest, GivesEachPartOfTheImageItsRights) {
  ProtectImage(tables_, features_, kLoad, kParts);
  for (uint64_t at = 0; at < kLargePageSize; at += kPageSize) {
    const uint64_t rights = at < kParts.text_end     ? kPresent
                            : at < kParts.rodata_end ? kPresent | kNoExecute
                                                     : kData;
    const bool mapped = at < kParts.image_end && at != kParts.stack_guard;
    ASSERT_EQ(At(IMAGE_BASE + at), mapped ? (kLoad + at) | rights : 0) << std::hex << at;
  }
}

TEST_P(KernelMapTest, ExecutesNothingOneToOne) {
  ProtectImage(tables_, features_, kLoad, kParts);
  for (uint64_t at = 0; at < kEarlyMapEnd; at += kLargePageSize) {
    ASSERT_EQ(At(at), at | kLargePage | kData) << std::hex << at;
  }
  EXPECT_EQ(At(kLoad), kLoad | kLargePage | kData);
  EXPECT_EQ(At(kLoad + kLargePageSize), 0u);
}

TEST_P(KernelMapTest, SetsNoBitThatTheCpuDoesNotHave) {
  features_.no_execute = 0;
  ProtectImage(tables_, features_, kLoad, kParts);
  EXPECT_EQ(At(IMAGE_BASE + kParts.rodata_end), (kLoad + kParts.rodata_end) | kPresent | kWritable);
  ASSERT_TRUE(Map(8 * kGibibyte, kGibibyte).ok());
  EXPECT_EQ(At(8 * kGibibyte), 8 * kGibibyte | kLargePage | kPresent | kWritable);
}

TEST_P(KernelMapTest, RamIsReadAndWrittenAndNeverExecuted) {
  ASSERT_TRUE(Map(6 * kGibibyte + kPageSize, 2 * kGibibyte).ok());
  EXPECT_FALSE(changed_);
  // A GiB with an end of RAM in it takes pages of 2 MiB, the whole one between an entry.
  EXPECT_EQ(At(6 * kGibibyte), 6 * kGibibyte | kLargePage | kData);
  EXPECT_EQ(tables_.Find(7 * kGibibyte, Leaf::kHugePage)[0], 7 * kGibibyte | kLargePage | kData);
  EXPECT_EQ(At(8 * kGibibyte), 8 * kGibibyte | kLargePage | kData);
  EXPECT_EQ(At(8 * kGibibyte + kLargePageSize), 0u);
  EXPECT_EQ(At(6 * kGibibyte - 1), 0u);
}

TEST_P(KernelMapTest, WithoutHugePagesTakesTables) {
  features_.huge_pages = false;
  ASSERT_TRUE(Map(8 * kGibibyte, 2 * kGibibyte).ok());
  for (uint64_t at = 8 * kGibibyte; at < 10 * kGibibyte; at += kLargePageSize) {
    ASSERT_EQ(tables_.Find(at, Leaf::kLargePage)[0], at | kLargePage | kData);
  }
}

TEST_P(KernelMapTest, ARangeThatIsMappedStaysAsItIs) {
  ASSERT_TRUE(Map(8 * kGibibyte, kGibibyte).ok());
  const size_t used = pool_->used;
  ASSERT_TRUE(Map(8 * kGibibyte + kPageSize, kPageSize).ok());
  EXPECT_EQ(pool_->used, used);
  EXPECT_FALSE(changed_);
  EXPECT_EQ(At(8 * kGibibyte), 8 * kGibibyte | kLargePage | kData);
}

TEST_P(KernelMapTest, SaysWhenAnEntryInUseHasChanged) {
  constexpr uint64_t kUncached = kWriteThrough | kCacheDisable;
  ASSERT_TRUE(Map(0xfee00000, kPageSize, kUncached).ok());
  EXPECT_TRUE(changed_) << "the APIC lies in the early map";
  EXPECT_EQ(At(0xfee00000) & (kUncached | kPresent), kUncached | kPresent);
  ASSERT_TRUE(Map(0xfee00000, kPageSize, kUncached).ok());
  EXPECT_FALSE(changed_) << "nothing was left to change";
  // An entry before one that is new.
  ASSERT_TRUE(Map(9 * kGibibyte, kLargePageSize).ok());
  ASSERT_TRUE(Map(9 * kGibibyte, 2 * kLargePageSize, kUncached).ok());
  EXPECT_TRUE(changed_);
  EXPECT_EQ(At(9 * kGibibyte + kLargePageSize),
            (9 * kGibibyte + kLargePageSize) | kLargePage | kData | kUncached);
  // The last of a table, before a table that is new.
  const uint64_t last = 14 * kGibibyte - kLargePageSize;
  ASSERT_TRUE(Map(last, kLargePageSize).ok());
  ASSERT_TRUE(Map(last, 2 * kLargePageSize, kUncached).ok());
  EXPECT_TRUE(changed_);
}

TEST_P(KernelMapTest, DevicesTakeNoHugePage) {
  ASSERT_TRUE(Map(8 * kGibibyte, kGibibyte, kCacheDisable).ok());
  EXPECT_EQ(At(8 * kGibibyte), 8 * kGibibyte | kLargePage | kData | kCacheDisable);
  EXPECT_EQ(tables_.Find(8 * kGibibyte, Leaf::kLargePage).size, kTableEntries);
  ASSERT_TRUE(Map(12 * kGibibyte, kGibibyte).ok());
  const Status overlap = Map(12 * kGibibyte, kPageSize, kCacheDisable);
  ASSERT_FALSE(overlap.ok());
  EXPECT_EQ(overlap.error().code, ErrorCode::kOverlap);
  EXPECT_EQ(overlap.error().where.raw(), 12 * kGibibyte);
}

TEST_P(KernelMapTest, MapsWhatLiesBelowTheLimitAndSaysTheRest) {
  const uint64_t limit = features_.limit;
  const Status across = Map(limit - kGibibyte, 2 * kGibibyte);
  ASSERT_FALSE(across.ok());
  EXPECT_EQ(across.error().code, ErrorCode::kOutsideRam);
  EXPECT_EQ(across.error().where.raw(), limit);
  EXPECT_EQ(At(limit - 1), (limit - kGibibyte) | kLargePage | kData);
  const Status wraps = Map(limit + kGibibyte, ~uint64_t{0});
  ASSERT_FALSE(wraps.ok());
  EXPECT_EQ(wraps.error().where.raw(), limit + kGibibyte);
}

TEST_P(KernelMapTest, MapsAsFarAsThereAreTables) {
  features_.huge_pages = false;
  const Status status = Map(8 * kGibibyte, 400 * kGibibyte);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kOutOfMemory);
  const uint64_t where = status.error().where.raw();
  EXPECT_GT(where, 100 * kGibibyte);
  EXPECT_EQ(At(where - kLargePageSize), (where - kLargePageSize) | kLargePage | kData);
  EXPECT_EQ(At(where), 0u);
}

TEST_P(KernelMapTest, AStackOfACpuHasNothingAroundIt) {
  ProtectImage(tables_, features_, kLoad, kParts);
  for (const size_t number : {size_t{1}, size_t{31}, size_t{32}, kMaxCpus - 1}) {
    const uint64_t memory = 0x8000000 + number * kCpuMemory;
    ASSERT_TRUE(MapStack(number, memory)) << number;
    const PhysRange stack = CpuStack(IMAGE_BASE, number);
    for (uint64_t at = 0; at < stack.size; at += kPageSize) {
      EXPECT_EQ(At(stack.begin.raw() + at), (memory + at) | kData) << number;
    }
    EXPECT_EQ(At(stack.begin.raw() - 1), 0u) << number;
    EXPECT_EQ(At(stack.end().raw()), 0u) << number;
  }
  EXPECT_EQ(At(IMAGE_BASE), kLoad | kPresent) << "the image stays";
}

TEST_P(KernelMapTest, StacksNeedNoTableOfThePool) {
  features_.huge_pages = false;
  ASSERT_FALSE(Map(8 * kGibibyte, 400 * kGibibyte).ok());
  for (size_t number = 1; number < kMaxCpus; ++number) {
    ASSERT_TRUE(MapStack(number, 0x8000000 + number * kCpuMemory)) << number;
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, KernelMapTest, testing::Values(4u, 5u));

}  // namespace
}  // namespace arch
