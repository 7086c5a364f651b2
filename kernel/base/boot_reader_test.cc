// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/boot_reader.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "kernel/base/testing/fake_memory.h"

namespace base {
namespace {

using khocore::PhysAddr;
using khocore::PhysRange;

constexpr uint64_t kBase = 0x10000;
constexpr uint32_t kRam = 1;
constexpr uint32_t kReserved = 2;

PhysRange Range(uint64_t begin, uint64_t size) { return {PhysAddr::FromRaw(begin), size}; }

class BootReaderTest : public testing::Test {
 protected:
  void ReadCommandLineAt(uint64_t address) {
    memory_.With([&](const BootReader& reader) { ReadCommandLine(info_.get(), address, reader); });
  }
  void KeepRange(PhysRange range) {
    memory_.With([&](const BootReader& reader) { Keep(info_.get(), range, reader); });
  }

  FakeMemory memory_{kBase, 0x4000};
  std::unique_ptr<BootInfo> info_ = std::make_unique<BootInfo>();
};

TEST_F(BootReaderTest, EmptyRegionsAreSkipped) {
  AddRegion(info_.get(), 0x1000, 0, kRam);
  EXPECT_EQ(info_->region_count, 0u);
  EXPECT_EQ(info_->regions_dropped, 0u);
}

TEST_F(BootReaderTest, RegionsWithoutRoomAreCounted) {
  for (uint64_t i = 0; i < BootInfo::kMaxRegions + 3; ++i) {
    AddRegion(info_.get(), i << 20, 1 << 20, kRam);
  }
  EXPECT_EQ(info_->region_count, BootInfo::kMaxRegions);
  EXPECT_EQ(info_->regions_dropped, 3u);
}

TEST_F(BootReaderTest, RamMayCoverARangeInPieces) {
  AddRegion(info_.get(), 0x3000, 0x1000, kRam);
  AddRegion(info_.get(), 0x1000, 0x1000, kRam);
  AddRegion(info_.get(), 0x2000, 0x1000, kRam);
  EXPECT_TRUE(CoveredByRam(*info_, Range(0x1000, 0x3000)));
  EXPECT_TRUE(CoveredByRam(*info_, Range(0x1800, 0)));
  EXPECT_FALSE(CoveredByRam(*info_, Range(0x1000, 0x3001)));
  EXPECT_FALSE(CoveredByRam(*info_, Range(0xfff, 2)));
}

TEST_F(BootReaderTest, OnlyRamCovers) {
  AddRegion(info_.get(), 0x1000, 0x1000, kReserved);
  EXPECT_FALSE(CoveredByRam(*info_, Range(0x1000, 1)));
}

TEST_F(BootReaderTest, WrappingRangesAreNotCovered) {
  AddRegion(info_.get(), 0, ~uint64_t{0}, kRam);
  EXPECT_FALSE(CoveredByRam(*info_, Range(~uint64_t{0} - 10, 100)));
  AddRegion(info_.get(), 0x1000, ~uint64_t{0}, kRam);  // wraps itself, so it says nothing
  EXPECT_TRUE(CoveredByRam(*info_, Range(0x1000, 0x1000)));
}

TEST_F(BootReaderTest, KeepRoundsOutwardsAndMerges) {
  KeepRange(Range(0x1010, 0x10));
  KeepRange(Range(0x3ff0, 0x20));
  ASSERT_EQ(info_->keep_count, 2u);
  EXPECT_EQ(info_->keep[0], Range(0x1000, 0x1000));
  EXPECT_EQ(info_->keep[1], Range(0x3000, 0x2000));
  KeepRange(Range(0x2000, 1));
  ASSERT_EQ(info_->keep_count, 1u);
  EXPECT_EQ(info_->keep[0], Range(0x1000, 0x4000));
}

TEST_F(BootReaderTest, KeepMergesWithAllThatItTouches) {
  for (const uint64_t page : {0x1000, 0x9000, 0x5000, 0x3000, 0x7000}) KeepRange(Range(page, 1));
  EXPECT_EQ(info_->keep_count, 5u);
  KeepRange(Range(0x2000, 0x5001));
  ASSERT_EQ(info_->keep_count, 2u);
  EXPECT_EQ(info_->keep[0], Range(0x9000, 0x1000));
  EXPECT_EQ(info_->keep[1], Range(0x1000, 0x7000));
}

TEST_F(BootReaderTest, KeepTellsWhenItIsFull) {
  const size_t room = sizeof(info_->keep) / sizeof(info_->keep[0]);
  for (size_t i = 0; i < room; ++i) KeepRange(Range(i * 0x10000, 1));
  EXPECT_TRUE(memory_.notes().empty());
  KeepRange(Range(room * 0x10000, 1));
  EXPECT_EQ(memory_.notes().size(), 1u);
  EXPECT_EQ(info_->keep_count, room);
}

TEST_F(BootReaderTest, CommandLineCrossesPages) {
  const std::string line(300, 'x');
  memory_.PutString(kBase + 0x1000 - 10, line);
  ReadCommandLineAt(kBase + 0x1000 - 10);
  EXPECT_EQ(info_->command_line, line);
  EXPECT_FALSE(info_->command_line_truncated);
  ASSERT_EQ(info_->keep_count, 1u);
  EXPECT_EQ(info_->keep[0], Range(kBase, 0x2000));
}

TEST_F(BootReaderTest, CommandLineMayEndWithItsPage) {
  memory_.Fill(kBase + 0x1000, 0x1000, 'z');
  memory_.PutString(kBase + 0x1000 - 5, "line");
  ReadCommandLineAt(kBase + 0x1000 - 5);
  EXPECT_STREQ(info_->command_line, "line");
}

TEST_F(BootReaderTest, LongestCommandLineFits) {
  const std::string line(BootInfo::kMaxCommandLine - 1, 'y');
  memory_.PutString(kBase, line);
  ReadCommandLineAt(kBase);
  EXPECT_EQ(info_->command_line, line);
}

TEST_F(BootReaderTest, UnterminatedCommandLineIsTruncated) {
  memory_.Fill(kBase, 0x4000, 'z');
  ReadCommandLineAt(kBase);
  EXPECT_EQ(std::string(info_->command_line).size(), BootInfo::kMaxCommandLine - 1);
  EXPECT_TRUE(info_->command_line_truncated);
}

TEST_F(BootReaderTest, CommandLineEndsWithRam) {
  memory_.Fill(kBase, 0x4000, 'z');
  ReadCommandLineAt(kBase + 0x4000 - 5);
  EXPECT_STREQ(info_->command_line, "zzzzz");
  EXPECT_EQ(memory_.notes().size(), 1u);
  ReadCommandLineAt(~uint64_t{0});
  EXPECT_STREQ(info_->command_line, "");
}

}  // namespace
}  // namespace base
