// SPDX-License-Identifier: BSD-3-Clause
//
// The frame table against one byte per frame: whatever is done to ranges, each frame has the byte
// that it would have by itself, and runs end where bytes differ.

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "khocore/frame_table.h"
#include "khocore/testing/test_machine.h"

namespace khocore {
namespace {

constexpr uint64_t kChunk = FrameTable::kChunkFrames;
constexpr uint64_t kFirst = 3 * kChunk + 17;
constexpr uint64_t kCount = 150 * kChunk + 5;
constexpr uint8_t kScratch = 0x80;

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) {}

  void Step() {
    const uint64_t begin = Edge();
    const uint64_t end = begin + 1 + Edge() / (random_() % 8 + 1);
    const PhysRange range{PageFrame::FromNumber(kFirst + begin).address(),
                          (end - begin) * kPageSize};
    const auto state = static_cast<FrameState>(random_() % 4);
    const auto filled = static_cast<uint8_t>(static_cast<unsigned>(state) << 5 | 0x1f);
    switch (random_() % 3) {
      case 0:
        ASSERT_OK(frames_.table.Fill(range, state));
        return Change(begin, end, kScratch, filled);
      case 1:
        ASSERT_OK(frames_.table.SetScratch(range));
        return Change(begin, end, 0x7f, kScratch);
      default:
        ASSERT_OK(frames_.table.ClearScratch(range));
        return Change(begin, end, 0x7f, 0);
    }
  }

  void ExpectSame() {
    const PageFrame first = PageFrame::FromNumber(kFirst);
    for (uint64_t i = 0; i < kCount; ++i) {
      if (frames_.table.Byte(first + i) == bytes_[i]) continue;
      FAIL() << "frame " << i << " has " << +frames_.table.Byte(first + i) << ", not "
             << +bytes_[i];
    }
    for (uint64_t at = 0; at < kCount;) {
      uint64_t end = at + 1;
      while (end < kCount && ((bytes_[end] ^ bytes_[at]) & 0xe0) == 0) ++end;
      ASSERT_EQ(frames_.table.RunAt(first + at).frames, end - at) << "frame " << at;
      at = end;
    }
  }

 private:
  /// A frame, often the first of a chunk.
  uint64_t Edge() {
    const uint64_t number = kFirst + random_() % kCount;
    const uint64_t chunk = AlignDown(number, kChunk);
    return (random_() % 2 == 0 || chunk < kFirst ? number : chunk) - kFirst;
  }

  void Change(uint64_t begin, uint64_t end, uint8_t keep, uint8_t add) {
    for (uint64_t i = begin; i < end && i < kCount; ++i) {
      bytes_[i] = static_cast<uint8_t>((bytes_[i] & keep) | add);
    }
  }

  std::mt19937_64 random_;
  TestFrames frames_{PageFrame::FromNumber(kFirst), kCount};
  std::vector<uint8_t> bytes_ = std::vector<uint8_t>(kCount, 0x1f);
};

TEST(FrameTableModelTest, RangesAreMarkedFrameByFrame) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    SCOPED_TRACE(seed);
    Model model(seed);
    for (int step = 0; step < 40; ++step) {
      model.Step();
      if (step % 4 == 3) model.ExpectSame();
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace khocore
