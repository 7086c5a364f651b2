// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/frame_table.h"

#include <gtest/gtest.h>

#include <vector>

#include "khocore/testing/test_machine.h"

namespace khocore {
namespace {

constexpr uint64_t kFirst = uint64_t{1} << 20;  // a multiple of every block size below
constexpr unsigned kHighestOrder = 18;
constexpr size_t kFrames = size_t{2} << kHighestOrder;

// The documented byte layout, written out.
constexpr uint8_t kFree = 1 << 5;
constexpr uint8_t kAllocated = 2 << 5;
constexpr uint8_t kPreserved = 3 << 5;
constexpr uint8_t kScratch = 0x80;
constexpr uint8_t kTail = 31;

PageFrame Frame(uint64_t index) { return PageFrame::FromNumber(kFirst + index); }
Block BlockOf(uint64_t index, unsigned order) { return {Frame(index), Order::FromLog2(order)}; }
uint64_t AddressOf(uint64_t index) { return Frame(index).address().raw(); }

class FrameTableTest : public testing::Test {
 protected:
  void MakeFree() {
    for (uint64_t i = 0; i < kFrames; ++i) frames_.Set(BlockOf(i, 0), FrameState::kFree);
  }
  std::vector<uint8_t> bytes_ = std::vector<uint8_t>(kFrames, 0xff);
  FrameTable frames_{Frame(0), {bytes_.data(), bytes_.size()}};
};

TEST_F(FrameTableTest, StartsAsNoRam) {
  EXPECT_EQ(bytes_, std::vector<uint8_t>(kFrames, 0));
  EXPECT_EQ(frames_.first(), Frame(0));
  EXPECT_EQ(frames_.size(), kFrames);
  EXPECT_EQ(frames_.bytes(), bytes_.data());
  EXPECT_EQ(frames_.Count(FrameState::kNotRam), kFrames);
  const FrameTable empty(Frame(0), {});
  EXPECT_EQ(empty.Count(FrameState::kNotRam), 0u);
}

TEST_F(FrameTableTest, HasTheDocumentedLayout) {
  frames_.Set(BlockOf(4, 2), FrameState::kAllocated);
  frames_.Set(BlockOf(8, 0), FrameState::kFree);
  frames_.SetScratch({Addr(AddressOf(6)), 3 * kPageSize});
  const std::vector<uint8_t> want = {0,
                                     kAllocated | 2,
                                     kAllocated | kTail,
                                     kAllocated | kTail | kScratch,
                                     kAllocated | kTail | kScratch,
                                     kFree | kScratch,
                                     0};
  EXPECT_EQ(std::vector<uint8_t>(bytes_.begin() + 3, bytes_.begin() + 10), want);
}

TEST_F(FrameTableTest, SplitsAsIfEachPartWereMarked) {
  frames_.SetScratch({Addr(AddressOf(4)), kPageSize});
  frames_.Set(BlockOf(0, 4), FrameState::kFree);
  frames_.SplitOff(BlockOf(8, 3));
  frames_.SplitOff(BlockOf(4, 2));
  frames_.Set(BlockOf(0, 2), FrameState::kAllocated);
  const std::vector<uint8_t> split(bytes_.begin(), bytes_.begin() + 17);
  frames_.Set(BlockOf(4, 2), FrameState::kFree);
  frames_.Set(BlockOf(8, 3), FrameState::kFree);
  EXPECT_EQ(std::vector<uint8_t>(bytes_.begin(), bytes_.begin() + 17), split);
  EXPECT_EQ(split[4], kFree | 2 | kScratch);
}

TEST_F(FrameTableTest, AnswersOutsideTheTable) {
  MakeFree();
  for (const uint64_t number : {uint64_t{0}, kFirst - 1, kFirst + kFrames, ~uint64_t{0}}) {
    const PageFrame frame = PageFrame::FromNumber(number);
    EXPECT_EQ(frames_.state(frame), FrameState::kNotRam);
    EXPECT_FALSE(frames_.is_head(frame));
    EXPECT_FALSE(frames_.in_scratch(frame));
    EXPECT_EQ(frames_.order(frame).log2(), 0u);
    EXPECT_FALSE(frames_.Covers({frame, Order::FromLog2(0)}));
  }
  EXPECT_TRUE(frames_.Covers(BlockOf(kFrames - 1, 0)));
  EXPECT_FALSE(frames_.Covers(BlockOf(kFrames - 1, 1)));
  EXPECT_FALSE(frames_.Covers(BlockOf(0, 30)));
}

TEST_F(FrameTableTest, ScratchIsABitBesideTheState) {
  MakeFree();
  frames_.SetScratch({Addr(AddressOf(10) + 1), 2 * kPageSize});  // touches three frames
  for (uint64_t i = 9; i <= 13; ++i) {
    EXPECT_EQ(frames_.in_scratch(Frame(i)), i >= 10 && i <= 12) << i;
    EXPECT_EQ(frames_.state(Frame(i)), FrameState::kFree);
  }
  frames_.Set(BlockOf(8, 2), FrameState::kAllocated);
  EXPECT_FALSE(frames_.in_scratch(Frame(9)));
  EXPECT_TRUE(frames_.in_scratch(Frame(10)));
  frames_.ClearScratch({Addr(AddressOf(10)), 3 * kPageSize});
  EXPECT_FALSE(frames_.in_scratch(Frame(10)));
  EXPECT_EQ(frames_.state(Frame(10)), FrameState::kAllocated);
}

TEST_F(FrameTableTest, ScratchOutsideTheTableIsPassedOver) {
  frames_.SetScratch({Addr(0), AddressOf(1)});
  EXPECT_TRUE(frames_.in_scratch(Frame(0)));
  EXPECT_FALSE(frames_.in_scratch(Frame(1)));
  frames_.SetScratch({Addr(AddressOf(kFrames - 1)), ~uint64_t{0}});
  EXPECT_TRUE(frames_.in_scratch(Frame(kFrames - 1)));
  EXPECT_FALSE(frames_.in_scratch(Frame(kFrames - 2)));
  frames_.SetScratch({Addr(AddressOf(5)), 0});
  frames_.SetScratch({Addr(0), kPageSize});
  frames_.SetScratch({Addr(AddressOf(kFrames)), kPageSize});
  EXPECT_FALSE(frames_.in_scratch(Frame(5)));
  EXPECT_FALSE(frames_.in_scratch(Frame(1)));
}

TEST_F(FrameTableTest, ClaimsAndRestoresEveryOrder) {
  MakeFree();
  for (unsigned order = 0; order <= kHighestOrder; ++order) {
    const uint64_t pages = uint64_t{1} << order;
    const uint64_t at = pages;
    ASSERT_OK(frames_.ClaimPreserved(BlockOf(at, order)));
    EXPECT_EQ(bytes_[at - 1], kFree);
    EXPECT_EQ(bytes_[at], kPreserved | order);
    for (uint64_t i = 1; i < pages; ++i) ASSERT_EQ(bytes_[at + i], kPreserved | kTail);
    EXPECT_EQ(frames_.Count(FrameState::kPreserved), pages);
    EXPECT_EQ(frames_.order(Frame(at)).log2(), order);

    const Result<Order> restored = frames_.Restore(Frame(at));
    ASSERT_OK(restored);
    EXPECT_EQ(restored.value().log2(), order);
    EXPECT_EQ(bytes_[at], kAllocated | order);
    for (uint64_t i = 1; i < pages; ++i) ASSERT_EQ(bytes_[at + i], kAllocated | kTail);
    EXPECT_ERROR(frames_.Restore(Frame(at)), ErrorCode::kNotPreserved, AddressOf(at));
    for (uint64_t i = 0; i < pages; ++i) frames_.Set(BlockOf(at + i, 0), FrameState::kFree);
  }
}

TEST_F(FrameTableTest, ClaimRefusesMalformedBlocks) {
  MakeFree();
  const auto before = bytes_;
  EXPECT_ERROR(frames_.ClaimPreserved(BlockOf(0, 31)), ErrorCode::kOrderRange, AddressOf(0));
  EXPECT_ERROR(frames_.ClaimPreserved(BlockOf(0, 200)), ErrorCode::kOrderRange, AddressOf(0));
  EXPECT_ERROR(frames_.ClaimPreserved(BlockOf(1, 1)), ErrorCode::kUnaligned, AddressOf(1));
  EXPECT_ERROR(frames_.ClaimPreserved(BlockOf(kFrames, 0)), ErrorCode::kOutsideRam,
               AddressOf(kFrames));
  EXPECT_ERROR(frames_.ClaimPreserved(BlockOf(0, 20)), ErrorCode::kOutsideRam, AddressOf(0));
  EXPECT_ERROR(frames_.ClaimPreserved({PageFrame::FromNumber(0), Order::FromLog2(0)}),
               ErrorCode::kOutsideRam, 0u);
  EXPECT_EQ(bytes_, before);
}

/// For each position in a block of 32 frames, so that the eight-at-once paths meet it at each
/// place.
TEST_F(FrameTableTest, ClaimRefusesASingleBadFrame) {
  MakeFree();
  for (uint64_t bad = 32; bad < 64; ++bad) {
    const auto refused = [&](ErrorCode code) {
      const auto before = bytes_;
      const Status status = frames_.ClaimPreserved(BlockOf(32, 5));
      EXPECT_ERROR(status, code, AddressOf(bad));
      EXPECT_EQ(status.error().found, AddressOf(32));
      EXPECT_EQ(bytes_, before);
    };
    frames_.Set(BlockOf(bad, 0), FrameState::kNotRam);
    refused(ErrorCode::kOutsideRam);
    frames_.Set(BlockOf(bad, 0), FrameState::kAllocated);
    refused(ErrorCode::kOverlap);
    frames_.Set(BlockOf(bad, 0), FrameState::kPreserved);
    refused(ErrorCode::kOverlap);
    frames_.Set(BlockOf(bad, 0), FrameState::kFree);
    frames_.SetScratch({Addr(AddressOf(bad)), 1});
    refused(ErrorCode::kInsideScratch);
    frames_.ClearScratch({Addr(AddressOf(bad)), 1});
  }
  EXPECT_TRUE(frames_.ClaimPreserved(BlockOf(32, 5)).ok());
}

TEST_F(FrameTableTest, RestoreRefusesWhatIsNotPreserved) {
  MakeFree();
  frames_.Set(BlockOf(0, 0), FrameState::kNotRam);
  frames_.Set(BlockOf(1, 0), FrameState::kAllocated);
  ASSERT_OK(frames_.ClaimPreserved(BlockOf(4, 2)));
  const auto before = bytes_;
  EXPECT_ERROR(frames_.Restore(Frame(0)), ErrorCode::kOutsideRam, AddressOf(0));
  EXPECT_ERROR(frames_.Restore(PageFrame::FromNumber(5)), ErrorCode::kOutsideRam, 0x5000u);
  EXPECT_ERROR(frames_.Restore(Frame(1)), ErrorCode::kNotPreserved, AddressOf(1));
  EXPECT_ERROR(frames_.Restore(Frame(2)), ErrorCode::kNotPreserved, AddressOf(2));
  EXPECT_ERROR(frames_.Restore(Frame(5)), ErrorCode::kNotPreserved, AddressOf(5));
  EXPECT_EQ(bytes_, before);
}

TEST_F(FrameTableTest, RestoreRefusesForeignTails) {
  MakeFree();
  for (uint64_t bad = 33; bad < 64; ++bad) {
    ASSERT_OK(frames_.ClaimPreserved(BlockOf(32, 5)));
    for (const uint8_t byte :
         {uint8_t{kFree}, uint8_t{kPreserved | 0}, uint8_t{kAllocated | kTail}}) {
      bytes_[bad] = byte;
      const auto before = bytes_;
      const Result<Order> restored = frames_.Restore(Frame(32));
      EXPECT_ERROR(restored, ErrorCode::kOverlap, AddressOf(bad));
      EXPECT_EQ(restored.error().found, AddressOf(32));
      EXPECT_EQ(bytes_, before);
    }
    for (uint64_t i = 32; i < 64; ++i) frames_.Set(BlockOf(i, 0), FrameState::kFree);
  }
}

TEST_F(FrameTableTest, RestoreRefusesABlockBeyondTheTable) {
  MakeFree();
  bytes_[kFrames - 2] = kPreserved | 2;
  EXPECT_ERROR(frames_.Restore(Frame(kFrames - 2)), ErrorCode::kOverlap, AddressOf(kFrames - 2));
}

}  // namespace
}  // namespace khocore
