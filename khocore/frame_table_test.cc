// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/frame_table.h"

#include <gtest/gtest.h>

#include <random>
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
  void Set(Block block, FrameState state) { EXPECT_TRUE(frames_.Set(block, state).ok()); }
  void SetScratch(uint64_t address, uint64_t size) {
    EXPECT_TRUE(frames_.SetScratch({Addr(address), size}).ok());
  }
  void MakeFree() {
    for (uint64_t i = 0; i < kFrames; ++i) Set(BlockOf(i, 0), FrameState::kFree);
  }
  std::vector<uint8_t> Bytes(uint64_t first = 0, uint64_t count = 2 * FrameTable::kChunkFrames) {
    return BytesOf(frames_, Frame(first), count);
  }
  TestFrames storage_{Frame(0), kFrames};
  FrameTable& frames_ = storage_.table;
};

TEST_F(FrameTableTest, StartsAsNoRam) {
  EXPECT_EQ(Bytes(0, kFrames), std::vector<uint8_t>(kFrames, kTail));
  EXPECT_EQ(frames_.first(), Frame(0));
  EXPECT_EQ(frames_.end(), Frame(kFrames));
  EXPECT_EQ(frames_.size(), kFrames);
  EXPECT_EQ(CountFrames(frames_, FrameState::kNotRam), kFrames);
  EXPECT_EQ(FrameTable::DirectoryBytes(Frame(0), 0), 0u);
  const FrameTable empty(Frame(0), 0, nullptr);
  EXPECT_EQ(empty.state(Frame(0)), FrameState::kNotRam);
}

TEST_F(FrameTableTest, HasTheDocumentedLayout) {
  Set(BlockOf(4, 2), FrameState::kAllocated);
  Set(BlockOf(8, 0), FrameState::kFree);
  SetScratch(AddressOf(6), 3 * kPageSize);
  const std::vector<uint8_t> want = {kTail,
                                     kAllocated | 2,
                                     kAllocated | kTail,
                                     kAllocated | kTail | kScratch,
                                     kAllocated | kTail | kScratch,
                                     kFree | kScratch,
                                     kTail};
  EXPECT_EQ(Bytes(3, 7), want);
}

TEST_F(FrameTableTest, SplitsAsIfEachPartWereMarked) {
  SetScratch(AddressOf(4), kPageSize);
  Set(BlockOf(0, 4), FrameState::kFree);
  ASSERT_OK(frames_.SplitOff(BlockOf(8, 3)));
  ASSERT_OK(frames_.SplitOff(BlockOf(4, 2)));
  Set(BlockOf(0, 2), FrameState::kAllocated);
  const std::vector<uint8_t> split = Bytes(0, 17);
  Set(BlockOf(4, 2), FrameState::kFree);
  Set(BlockOf(8, 3), FrameState::kFree);
  EXPECT_EQ(Bytes(0, 17), split);
  EXPECT_EQ(split[4], kFree | 2 | kScratch);
}

TEST_F(FrameTableTest, FindsTheBlockOfEveryFrame) {
  constexpr uint64_t kUpTo = 64;
  Set(BlockOf(0, 0), FrameState::kPreserved);
  Set(BlockOf(1, 0), FrameState::kPreserved);
  Set(BlockOf(2, 1), FrameState::kPreserved);
  Set(BlockOf(4, 2), FrameState::kFree);
  Set(BlockOf(8, 3), FrameState::kPreserved);
  Set(BlockOf(16, 4), FrameState::kPreserved);
  Set(BlockOf(32, 5), FrameState::kAllocated);
  for (uint64_t i = 0; i < kUpTo; ++i) {
    const unsigned order = i < 2 ? 0 : 63 - static_cast<unsigned>(__builtin_clzll(i));
    EXPECT_EQ(frames_.BlockOf(Frame(i)), BlockOf(i >> order << order, order)) << i;
  }
  // A tail that no head covers is alone, and so is what lies outside.
  ASSERT_OK(frames_.SplitOff(BlockOf(32, 3)));
  EXPECT_EQ(frames_.BlockOf(Frame(39)), BlockOf(32, 3));
  EXPECT_EQ(frames_.BlockOf(Frame(40)), (Block{Frame(40), Order()}));
  EXPECT_EQ(frames_.BlockOf(Frame(kFrames)), (Block{Frame(kFrames), Order()}));
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
  SetScratch(AddressOf(10) + 1, 2 * kPageSize);  // touches three frames
  for (uint64_t i = 9; i <= 13; ++i) {
    EXPECT_EQ(frames_.in_scratch(Frame(i)), i >= 10 && i <= 12) << i;
    EXPECT_EQ(frames_.state(Frame(i)), FrameState::kFree);
  }
  Set(BlockOf(8, 2), FrameState::kAllocated);
  EXPECT_FALSE(frames_.in_scratch(Frame(9)));
  EXPECT_TRUE(frames_.in_scratch(Frame(10)));
  ASSERT_OK(frames_.ClearScratch({Addr(AddressOf(10)), 3 * kPageSize}));
  EXPECT_FALSE(frames_.in_scratch(Frame(10)));
  EXPECT_EQ(frames_.state(Frame(10)), FrameState::kAllocated);
}

TEST_F(FrameTableTest, ScratchOutsideTheTableIsPassedOver) {
  SetScratch(0, AddressOf(1));
  EXPECT_TRUE(frames_.in_scratch(Frame(0)));
  EXPECT_FALSE(frames_.in_scratch(Frame(1)));
  SetScratch(AddressOf(kFrames - 1), ~uint64_t{0});
  EXPECT_TRUE(frames_.in_scratch(Frame(kFrames - 1)));
  EXPECT_FALSE(frames_.in_scratch(Frame(kFrames - 2)));
  SetScratch(AddressOf(5), 0);
  SetScratch(0, kPageSize);
  SetScratch(AddressOf(kFrames), kPageSize);
  EXPECT_FALSE(frames_.in_scratch(Frame(5)));
  EXPECT_FALSE(frames_.in_scratch(Frame(1)));
}

TEST_F(FrameTableTest, ClaimsAndRestoresEveryOrder) {
  MakeFree();
  for (unsigned order = 0; order <= kHighestOrder; ++order) {
    const uint64_t pages = uint64_t{1} << order;
    const uint64_t at = pages;
    ASSERT_OK(frames_.ClaimPreserved(BlockOf(at, order)));
    EXPECT_EQ(frames_.Byte(Frame(at - 1)), kFree);
    EXPECT_EQ(frames_.Byte(Frame(at)), kPreserved | order);
    for (uint64_t i = 1; i < pages; ++i) ASSERT_EQ(frames_.Byte(Frame(at + i)), kPreserved | kTail);
    EXPECT_EQ(CountFrames(frames_, FrameState::kPreserved), pages);
    EXPECT_EQ(frames_.order(Frame(at)).log2(), order);

    const Result<Order> restored = frames_.Restore(Frame(at));
    ASSERT_OK(restored);
    EXPECT_EQ(restored.value().log2(), order);
    EXPECT_EQ(frames_.Byte(Frame(at)), kAllocated | order);
    for (uint64_t i = 1; i < pages; ++i) ASSERT_EQ(frames_.Byte(Frame(at + i)), kAllocated | kTail);
    EXPECT_ERROR(frames_.Restore(Frame(at)), ErrorCode::kNotPreserved, AddressOf(at));
    for (uint64_t i = 0; i < pages; ++i) Set(BlockOf(at + i, 0), FrameState::kFree);
  }
}

TEST_F(FrameTableTest, ClaimRefusesMalformedBlocks) {
  MakeFree();
  const auto before = Bytes();
  EXPECT_ERROR(frames_.ClaimPreserved(BlockOf(0, 31)), ErrorCode::kOrderRange, AddressOf(0));
  EXPECT_ERROR(frames_.ClaimPreserved(BlockOf(0, 200)), ErrorCode::kOrderRange, AddressOf(0));
  EXPECT_ERROR(frames_.ClaimPreserved(BlockOf(1, 1)), ErrorCode::kUnaligned, AddressOf(1));
  EXPECT_ERROR(frames_.ClaimPreserved(BlockOf(kFrames, 0)), ErrorCode::kOutsideRam,
               AddressOf(kFrames));
  EXPECT_ERROR(frames_.ClaimPreserved(BlockOf(0, 20)), ErrorCode::kOutsideRam, AddressOf(0));
  EXPECT_ERROR(frames_.ClaimPreserved({PageFrame::FromNumber(0), Order::FromLog2(0)}),
               ErrorCode::kOutsideRam, 0u);
  EXPECT_EQ(Bytes(), before);
}

/// For each position in a block of 32 frames, so that the eight-at-once paths meet it at each
/// place.
TEST_F(FrameTableTest, ClaimRefusesASingleBadFrame) {
  MakeFree();
  for (uint64_t bad = 32; bad < 64; ++bad) {
    const auto refused = [&](ErrorCode code) {
      const auto before = Bytes();
      const Status status = frames_.ClaimPreserved(BlockOf(32, 5));
      EXPECT_ERROR(status, code, AddressOf(bad));
      EXPECT_EQ(status.error().found, AddressOf(32));
      EXPECT_EQ(Bytes(), before);
    };
    Set(BlockOf(bad, 0), FrameState::kNotRam);
    refused(ErrorCode::kOutsideRam);
    Set(BlockOf(bad, 0), FrameState::kAllocated);
    refused(ErrorCode::kOverlap);
    Set(BlockOf(bad, 0), FrameState::kPreserved);
    refused(ErrorCode::kOverlap);
    Set(BlockOf(bad, 0), FrameState::kFree);
    SetScratch(AddressOf(bad), 1);
    refused(ErrorCode::kInsideScratch);
    ASSERT_OK(frames_.ClearScratch({Addr(AddressOf(bad)), 1}));
  }
  EXPECT_TRUE(frames_.ClaimPreserved(BlockOf(32, 5)).ok());
}

TEST_F(FrameTableTest, RestoreRefusesWhatIsNotPreserved) {
  MakeFree();
  Set(BlockOf(0, 0), FrameState::kNotRam);
  Set(BlockOf(1, 0), FrameState::kAllocated);
  ASSERT_OK(frames_.ClaimPreserved(BlockOf(4, 2)));
  const auto before = Bytes();
  EXPECT_ERROR(frames_.Restore(Frame(0)), ErrorCode::kOutsideRam, AddressOf(0));
  EXPECT_ERROR(frames_.Restore(PageFrame::FromNumber(5)), ErrorCode::kOutsideRam, 0x5000u);
  EXPECT_ERROR(frames_.Restore(Frame(1)), ErrorCode::kNotPreserved, AddressOf(1));
  EXPECT_ERROR(frames_.Restore(Frame(2)), ErrorCode::kNotPreserved, AddressOf(2));
  EXPECT_ERROR(frames_.Restore(Frame(5)), ErrorCode::kNotPreserved, AddressOf(5));
  EXPECT_EQ(Bytes(), before);
}

TEST_F(FrameTableTest, RestoreRefusesForeignTails) {
  MakeFree();
  for (uint64_t bad = 33; bad < 64; ++bad) {
    ASSERT_OK(frames_.ClaimPreserved(BlockOf(32, 5)));
    for (const FrameState state :
         {FrameState::kFree, FrameState::kPreserved, FrameState::kAllocated}) {
      Set(BlockOf(bad, 0), state);
      const auto before = Bytes();
      const Result<Order> restored = frames_.Restore(Frame(32));
      EXPECT_ERROR(restored, ErrorCode::kOverlap, AddressOf(bad));
      EXPECT_EQ(restored.error().found, AddressOf(32));
      EXPECT_EQ(Bytes(), before);
    }
    for (uint64_t i = 32; i < 64; ++i) Set(BlockOf(i, 0), FrameState::kFree);
  }
}

TEST_F(FrameTableTest, RestoreRefusesABlockBeyondTheTable) {
  MakeFree();
  Set(BlockOf(kFrames - 2, 0), FrameState::kPreserved);
  ASSERT_OK(frames_.SplitOff(BlockOf(kFrames - 2, 2)));
  EXPECT_ERROR(frames_.Restore(Frame(kFrames - 2)), ErrorCode::kOverlap, AddressOf(kFrames - 2));
}

TEST_F(FrameTableTest, JoinsAsIfTheWholeWereMarked) {
  for (const unsigned order : {1u, 4u, 12u, 13u, 15u}) {
    const uint64_t half = uint64_t{1} << (order - 1);
    Set(BlockOf(0, order - 1), FrameState::kFree);
    Set(BlockOf(half, order - 1), FrameState::kFree);
    ASSERT_OK(frames_.Join(BlockOf(0, order)));
    const std::vector<uint8_t> joined = Bytes(0, 2 * half);
    Set(BlockOf(0, order), FrameState::kFree);
    EXPECT_EQ(Bytes(0, 2 * half), joined) << order;
  }
}

TEST_F(FrameTableTest, FillsRangesWithTails) {
  SetScratch(AddressOf(3), kPageSize);
  Set(BlockOf(0, 3), FrameState::kAllocated);
  ASSERT_OK(frames_.Fill({Addr(AddressOf(2) + 1), 3 * kPageSize - 1}, FrameState::kFree));
  const std::vector<uint8_t> want = {kAllocated | 3, kAllocated | kTail,
                                     kFree | kTail,  kFree | kTail | kScratch,
                                     kFree | kTail,  kAllocated | kTail};
  EXPECT_EQ(Bytes(0, 6), want);
  ASSERT_OK(frames_.Fill({Addr(0), ~uint64_t{0}}, FrameState::kFree));
  EXPECT_EQ(CountFrames(frames_, FrameState::kFree), kFrames);
  EXPECT_FALSE(frames_.is_head(Frame(0)));
}

TEST_F(FrameTableTest, BytesAreMadeWhereFramesDiffer) {
  const uint64_t all = frames_.chunk_count();
  EXPECT_EQ(frames_.spare_pages(), all);
  EXPECT_EQ(frames_.missing_pages(), 0u);
  Set(BlockOf(0, kHighestOrder), FrameState::kFree);
  SetScratch(AddressOf(FrameTable::kChunkFrames), 2 * FrameTable::kChunkFrames * kPageSize);
  ASSERT_OK(frames_.ClaimPreserved(BlockOf(uint64_t{1} << 14, 14)));
  ASSERT_OK(frames_.Restore(Frame(uint64_t{1} << 14)));
  EXPECT_EQ(frames_.spare_pages(), all);
  Set(BlockOf(5, 0), FrameState::kAllocated);
  EXPECT_EQ(frames_.spare_pages(), all - 1);
  Set(BlockOf(6, 0), FrameState::kAllocated);
  EXPECT_EQ(frames_.spare_pages(), all - 1);
}

/// One byte per frame, as the table would be without chunks.
class FlatModel {
 public:
  FlatModel(uint64_t first, uint64_t count) : first_(first), bytes_(count, kTail) {}

  void Set(Block block, FrameState state) {
    for (uint64_t i = 0; i < block.order.pages(); ++i) {
      uint8_t& byte = At(block.frame + i);
      const unsigned order = i == 0 ? block.order.log2() : kTail;
      byte = static_cast<uint8_t>((byte & kScratch) | static_cast<unsigned>(state) << 5 | order);
    }
  }
  void Scratch(uint64_t index, uint64_t count, bool set) {
    for (uint64_t i = index; i < index + count; ++i) {
      bytes_[i] = static_cast<uint8_t>(set ? bytes_[i] | kScratch : bytes_[i] & ~kScratch);
    }
  }
  bool Are(Block block, uint8_t mask, uint8_t head, uint8_t tail) {
    for (uint64_t i = 0; i < block.order.pages(); ++i) {
      if ((At(block.frame + i) & mask) != (i == 0 ? head : tail)) return false;
    }
    return true;
  }
  uint64_t RunAt(uint64_t index) const {
    uint64_t end = index;
    while (end < bytes_.size() && ((bytes_[end] ^ bytes_[index]) & 0xe0) == 0) ++end;
    return end - index;
  }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  uint8_t& At(PageFrame frame) { return bytes_[frame.number() - first_]; }
  uint64_t first_;
  std::vector<uint8_t> bytes_;
};

TEST(FrameTable, AgreesWithAFlatOne) {
  constexpr uint64_t kBegin = kFirst - 1000;  // inside a chunk
  constexpr uint64_t kCount = 9 * FrameTable::kChunkFrames + 77;
  TestFrames storage(PageFrame::FromNumber(kBegin), kCount);
  FrameTable& frames = storage.table;
  FlatModel model(kBegin, kCount);
  std::mt19937_64 random(7);
  for (int step = 0; step < 3000; ++step) {
    const auto order = static_cast<unsigned>(random() % 15);
    const uint64_t pages = uint64_t{1} << order;
    const uint64_t at = (kBegin + random() % kCount) & ~(pages - 1);
    const Block block{PageFrame::FromNumber(at), Order::FromLog2(order)};
    if (!frames.Covers(block)) continue;
    const auto state = static_cast<FrameState>(random() % 3);
    switch (random() % 4) {
      case 0:
        ASSERT_OK(frames.Set(block, state));
        model.Set(block, state);
        break;
      case 1: {
        const bool set = random() % 2 != 0;
        const uint64_t count = random() % (kBegin + kCount - at);
        const PhysRange range{block.begin(), count * kPageSize};
        ASSERT_OK(set ? frames.SetScratch(range) : frames.ClearScratch(range));
        model.Scratch(at - kBegin, count, set);
        break;
      }
      case 2: {
        const bool claimed = frames.ClaimPreserved(block).ok();
        ASSERT_EQ(claimed, model.Are(block, 0xe0, kFree, kFree)) << "step " << step;
        if (claimed) model.Set(block, FrameState::kPreserved);
        break;
      }
      default: {
        const bool whole =
            model.Are(block, 0x7f, static_cast<uint8_t>(kPreserved | order), kPreserved | kTail);
        if (frames.order(block.frame) != block.order || !frames.is_head(block.frame)) break;
        ASSERT_EQ(frames.Restore(block.frame).ok(), whole) << "step " << step;
        if (whole) model.Set(block, FrameState::kAllocated);
        break;
      }
    }
    ASSERT_EQ(frames.RunAt(block.frame).frames, model.RunAt(at - kBegin)) << "step " << step;
    if (step % 100 == 0) {
      ASSERT_EQ(BytesOf(frames, frames.first(), kCount), model.bytes()) << "step " << step;
    }
  }
  EXPECT_EQ(BytesOf(frames, frames.first(), kCount), model.bytes());
}

}  // namespace
}  // namespace khocore
