// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <vector>

#include "khocore/frame_table.h"
#include "khocore/testing/test_machine.h"

namespace khocore {
namespace {

constexpr uint64_t kFirst = uint64_t{1} << 20;  // a multiple of every block size below
constexpr unsigned kHighestOrder = 18;
constexpr size_t kFrames = size_t{2} << kHighestOrder;

// The documented byte layout, written out.
constexpr uint8_t kFree = 1 << 5;
constexpr uint8_t kScratch = 0x80;
constexpr uint8_t kTail = 31;

PageFrame Frame(uint64_t index) { return PageFrame::FromNumber(kFirst + index); }
Block BlockOf(uint64_t index, unsigned order) { return {Frame(index), Order::FromLog2(order)}; }
uint64_t AddressOf(uint64_t index) { return Frame(index).address().raw(); }

TEST(FrameTable, ScratchWithoutRamIsToldFromAChunkWithAPage) {
  TestFrames storage(Frame(0), kFrames);
  FrameTable& frames = storage.table;
  ASSERT_OK(frames.SetScratch({Addr(AddressOf(0)), 2 * FrameTable::kChunkFrames * kPageSize}));
  EXPECT_EQ(frames.Byte(Frame(0)), kScratch | kTail);
  EXPECT_EQ(frames.Byte(Frame(FrameTable::kChunkFrames + 1)), kScratch | kTail);
  ASSERT_OK(frames.Set(BlockOf(0, FrameTable::kChunkOrder), FrameState::kFree));
  EXPECT_EQ(frames.Byte(Frame(0)), kScratch | kFree | FrameTable::kChunkOrder);
  EXPECT_EQ(frames.Byte(Frame(1)), kScratch | kFree | kTail);
  EXPECT_EQ(frames.Byte(Frame(FrameTable::kChunkFrames)), kScratch | kTail);
}

TEST(FrameTable, ABlockKeepsItsHeadWhenItsChunkGetsAPage) {
  TestFrames storage(Frame(0), kFrames);
  FrameTable& frames = storage.table;
  constexpr unsigned kOrder = FrameTable::kChunkOrder + 1;
  ASSERT_OK(frames.Set(BlockOf(0, kOrder), FrameState::kFree));
  for (const uint64_t at : {uint64_t{5}, FrameTable::kChunkFrames + 5}) {
    ASSERT_OK(frames.SetScratch({Addr(AddressOf(at)), kPageSize}));
    EXPECT_EQ(frames.Byte(Frame(0)), kFree | kOrder);
    EXPECT_EQ(frames.Byte(Frame(1)), kFree | kTail);
    EXPECT_EQ(frames.Byte(Frame(at)), kFree | kTail | kScratch);
    EXPECT_EQ(frames.Byte(Frame(FrameTable::kChunkFrames)), kFree | kTail);
  }
}

TEST(FrameTable, TakesPagesFromAllThatWereAdded) {
  std::vector<uint64_t> directory(FrameTable::DirectoryBytes(Frame(0), kFrames) / 8);
  FrameTable frames(Frame(0), kFrames, directory.data());
  alignas(kPageSize) static uint8_t pages[5 * kPageSize];
  frames.AddPages({pages, 2 * kPageSize});
  frames.AddPages({pages, 0});
  frames.AddPages({pages + 2 * kPageSize, 3 * kPageSize});
  EXPECT_EQ(frames.spare_pages(), 5u);
  EXPECT_EQ(frames.missing_pages(), frames.chunk_count() - 5);
  for (uint64_t chunk = 0; chunk < 5; ++chunk) {
    ASSERT_OK(frames.Set(BlockOf(chunk << FrameTable::kChunkOrder, 1), FrameState::kFree));
  }
  EXPECT_EQ(frames.spare_pages(), 0u);
  EXPECT_EQ(frames.missing_pages(), frames.chunk_count() - 5);
  EXPECT_EQ(CountFrames(frames, FrameState::kFree), 10u);
  const Status sixth = frames.Set(BlockOf(5 << FrameTable::kChunkOrder, 1), FrameState::kFree);
  EXPECT_ERROR(sixth, ErrorCode::kOutOfMemory, AddressOf(5 << FrameTable::kChunkOrder));
}

TEST(FrameTable, WithoutPagesNothingChanges) {
  std::vector<uint64_t> directory(FrameTable::DirectoryBytes(Frame(0), kFrames) / 8);
  FrameTable frames(Frame(0), kFrames, directory.data());
  EXPECT_EQ(frames.missing_pages(), frames.chunk_count());
  ASSERT_OK(frames.Set(BlockOf(0, kHighestOrder), FrameState::kFree));
  const auto before = BytesOf(frames, Frame(0), kFrames);
  const auto refused = [&](const Status& status) {
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kOutOfMemory);
    EXPECT_EQ(BytesOf(frames, Frame(0), kFrames), before);
  };
  refused(frames.Set(BlockOf(3, 0), FrameState::kAllocated));
  refused(frames.Set(BlockOf(0, 11), FrameState::kAllocated));
  refused(frames.SplitOff(BlockOf(8, 3)));
  refused(frames.SetScratch({Addr(AddressOf(1)), kPageSize}));
  refused(frames.ClaimPreserved(BlockOf(4, 2)));
}

}  // namespace
}  // namespace khocore
