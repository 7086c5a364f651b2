// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/memory/holes.h"

#include <gtest/gtest.h>

#include <memory>

namespace memory {
namespace {

using base::BootInfo;
using base::MemoryType;
using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;

constexpr uint64_t kMiB = uint64_t{1} << 20;

PhysRange Range(uint64_t begin, uint64_t size) { return {PhysAddr::FromRaw(begin), size}; }

TEST(AddHoles, LieInTheUpperHalfBesideWhatIsInUse) {
  const auto info = std::make_unique<BootInfo>();
  info->regions[info->region_count++] = {Range(0x40000000, 100 * kMiB), MemoryType::kRam};
  info->regions[info->region_count++] = {Range(0x80000000, 100 * kMiB), MemoryType::kRam};
  info->regions[info->region_count++] = {Range(0x81000000, kMiB), MemoryType::kReserved};
  info->initrd = Range(0x82000000, kMiB / 4);
  EXPECT_EQ(AddHoles(100, info.get()), 100u);
  ASSERT_EQ(info->region_count, 103u);
  PhysAddr last = PhysAddr::FromRaw(0x80000000);
  uint64_t bytes = 0;
  for (size_t i = 3; i < info->region_count; ++i) {
    const base::MemoryRegion& hole = info->regions[i];
    EXPECT_EQ(hole.type, MemoryType::kUnusable);
    EXPECT_TRUE(Range(0x80000000, 100 * kMiB).Contains(hole.range));
    EXPECT_TRUE(hole.range.begin.IsAligned(kPageSize));
    EXPECT_FALSE(hole.range.Overlaps(info->initrd) || hole.range.Overlaps(info->regions[2].range));
    EXPECT_TRUE(last < hole.range.begin);  // apart, so that RAM lies between
    last = hole.range.end();
    bytes += hole.range.size;
  }
  EXPECT_EQ(bytes, (34 * 1 + 33 * 2 + 33 * 3) * kPageSize);
}

TEST(AddHoles, WhatHasNoRoomIsLeftOut) {
  const auto info = std::make_unique<BootInfo>();
  EXPECT_EQ(AddHoles(10, info.get()), 0u);
  info->regions[info->region_count++] = {Range(0, 8 * kMiB), MemoryType::kRam};
  info->initrd = Range(4 * kMiB, 4 * kMiB);
  EXPECT_EQ(AddHoles(10, info.get()), 0u);
}

}  // namespace
}  // namespace memory
