// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/archive.h"

#include <gtest/gtest.h>
#include <string.h>

#include "kernel/base/direct_map.h"
#include "kernel/handover/testing/test_kernel.h"

namespace clients {
namespace {

using handover::CodeOf;
using handover::TestKernel;
using handover::TestRam;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;

constexpr uint64_t kSize = 3 * kPageSize + 5;

class ArchiveTest : public testing::Test {
 protected:
  /// An initrd of `kSize` bytes outside scratch.
  PhysRange Initrd() {
    const auto place = first_.memory.allocator.AllocateRange(kSize, kPageSize);
    EXPECT_TRUE(place.ok());
    return FilledAt(place.value().begin);
  }

  static PhysRange FilledAt(PhysAddr at) {
    auto* bytes = base::Direct<uint8_t>(at);
    for (uint64_t i = 0; i < kSize; ++i) bytes[i] = static_cast<uint8_t>(i * 7);
    return {at, kSize};
  }

  static void ExpectFiles(const TestKernel& kernel) {
    ASSERT_EQ(kernel.generation.archive.size, kSize);
    for (uint64_t i = 0; i < kSize; ++i) {
      ASSERT_EQ(kernel.generation.archive[i], static_cast<uint8_t>(i * 7)) << i;
    }
  }

  PhysAddr HandOver(const Archive& archive) {
    first_.Begin();
    EXPECT_TRUE(archive.Preserve(first_.outgoing).ok());
    EXPECT_TRUE(archive.Serialize(first_.outgoing).ok());
    return first_.Close();
  }

  TestRam ram_;
  TestKernel first_{ram_};
  Archive archive_;
};

TEST_F(ArchiveTest, StaysWhereItLies) {
  first_.info.initrd = Initrd();
  ASSERT_OK(archive_.Take(first_.generation));
  EXPECT_EQ(first_.generation.archive.data, base::Direct<uint8_t>(first_.info.initrd.begin));
  TestKernel second(ram_, 2, HandOver(archive_));
  Archive restored;
  ASSERT_OK(restored.Restore(second.incoming));
  EXPECT_EQ(second.generation.archive.data, base::Direct<uint8_t>(first_.info.initrd.begin));
  ExpectFiles(second);
  EXPECT_EQ(second.incoming.restored().pages, 4 + 1u) << "the archive and the khorig fragment";
}

TEST_F(ArchiveTest, IsCopiedOutOfScratch) {
  first_.info.initrd = FilledAt(ram_.scratch.area(0).begin + 4 * kPageSize);
  ASSERT_OK(archive_.Take(first_.generation));
  ExpectFiles(first_);
  const PhysRange place{
      PhysAddr::FromRaw(reinterpret_cast<uint64_t>(first_.generation.archive.data)), kSize};
  EXPECT_FALSE(ram_.scratch.Overlaps(place));
  TestKernel second(ram_, 2, HandOver(archive_));
  Archive restored;
  ASSERT_OK(restored.Restore(second.incoming));
  ExpectFiles(second);
}

TEST_F(ArchiveTest, IsCopiedWhenItSharesAPage) {
  const auto place = first_.memory.allocator.AllocateRange(kSize + 16, kPageSize);
  first_.info.initrd = FilledAt(place.value().begin + 16);
  ASSERT_OK(archive_.Take(first_.generation));
  ExpectFiles(first_);
  EXPECT_NE(first_.generation.archive.data, base::Direct<uint8_t>(first_.info.initrd.begin));
}

TEST_F(ArchiveTest, OutsideRamIsNotRead) {
  for (const PhysRange initrd : {PhysRange{ram_.all.end(), kPageSize},
                                 PhysRange{ram_.all.end() + (0 - kPageSize), kPageSize + 1},
                                 PhysRange{PhysAddr::FromRaw(~uint64_t{0}), 2}}) {
    first_.info.initrd = initrd;
    EXPECT_EQ(CodeOf(archive_.Take(first_.generation)), ErrorCode::kOutsideRam);
    EXPECT_EQ(first_.generation.archive.size, 0u);
  }
}

TEST_F(ArchiveTest, NoneIsNotHandedOver) {
  ASSERT_OK(archive_.Take(first_.generation));
  TestKernel second(ram_, 2, HandOver(archive_));
  Archive restored;
  EXPECT_EQ(CodeOf(restored.Restore(second.incoming)), ErrorCode::kNotFound);
}

TEST_F(ArchiveTest, SaysWhenTheLinkIsNotWhatWasPreserved) {
  const PhysRange initrd = Initrd();
  first_.Begin();
  // Blocks of 1, 2 and 1 pages or less: none ends behind the first byte of the last page but one.
  ASSERT_OK(first_.outgoing.tracker().Preserve(
      {khocore::PageFrame::Containing(initrd.begin), khocore::Order::FromLog2(1)}));
  ASSERT_OK(first_.outgoing.AddLink("archive", {initrd.begin, kPageSize}));
  TestKernel second(ram_, 2, first_.Close());
  EXPECT_EQ(CodeOf(archive_.Restore(second.incoming)), ErrorCode::kOverlap);
}

}  // namespace
}  // namespace clients
