// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/scratch.h"

#include <gtest/gtest.h>
#include <string.h>

#include "khocore/abi/scratch.h"
#include "khocore/testing/test_machine.h"

namespace khocore {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kArray = TestMachine::kBase + 0x2000;

class ScratchTest : public testing::Test {
 protected:
  /// Writes the array as another kernel would, and reads it.
  Result<Scratch> Read(std::vector<abi::ScratchArea> areas) {
    memcpy(machine_.At(kArray), areas.data(), areas.size() * sizeof(areas[0]));
    return Scratch::Read(machine_.memory, {Addr(kArray), areas.size() * sizeof(areas[0])});
  }
  TestMachine machine_;
};

TEST_F(ScratchTest, ReadsAreasInTheirOrder) {
  const auto scratch = Read({{TestMachine::kBase + 8 * kMiB, 8 * kMiB},
                             {TestMachine::kBase, 4 * kMiB},
                             {TestMachine::kBase + 16 * kMiB, 4 * kMiB}});
  ASSERT_OK(scratch);
  ASSERT_EQ(scratch.value().area_count(), 3u);
  EXPECT_EQ(scratch.value().area(0), (PhysRange{Addr(TestMachine::kBase + 8 * kMiB), 8 * kMiB}));
  EXPECT_EQ(scratch.value().area(1), (PhysRange{Addr(TestMachine::kBase), 4 * kMiB}));
  EXPECT_EQ(scratch.value().bytes(), 16 * kMiB);
}

TEST_F(ScratchTest, ReadsAnArrayAtAnyAddress) {
  const abi::ScratchArea area{TestMachine::kBase, 4 * kMiB};
  memcpy(machine_.At(kArray + 3), &area, sizeof(area));
  EXPECT_TRUE(Scratch::Read(machine_.memory, {Addr(kArray + 3), sizeof(area)}).ok());
}

TEST_F(ScratchTest, AnswersForRanges) {
  const auto read =
      Read({{TestMachine::kBase, 4 * kMiB}, {TestMachine::kBase + 4 * kMiB, 4 * kMiB}});
  ASSERT_OK(read);
  const Scratch& scratch = read.value();
  const auto range = [](uint64_t offset, uint64_t size) {
    return PhysRange{Addr(TestMachine::kBase + offset), size};
  };
  EXPECT_TRUE(scratch.Overlaps(range(8 * kMiB - 1, 2)));
  EXPECT_FALSE(scratch.Overlaps(range(8 * kMiB, kMiB)));
}

TEST_F(ScratchTest, RefusesLengths) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{15}, uint64_t{17}, uint64_t{8},
                              uint64_t{16 * 65}, ~uint64_t{0}, ~uint64_t{15}}) {
    const auto scratch = Scratch::Read(machine_.memory, {Addr(kArray), size});
    EXPECT_ERROR(scratch, ErrorCode::kScratchLength, kArray);
    EXPECT_EQ(scratch.error().found, size);
  }
}

TEST_F(ScratchTest, AcceptsAsManyAreasAsItHolds) {
  TestMachine machine;
  PhysicalMemory memory;
  const uint64_t begin = uint64_t{64} << 30;
  ASSERT_OK(memory.AddWindow({Addr(kArray), kPageSize}, machine.At(kArray)));
  ASSERT_OK(memory.AddWindow({Addr(begin), 64 * 8 * kMiB}, machine.At(TestMachine::kFree)));
  for (uint64_t i = 0; i < Scratch::kMaxAreas; ++i) {
    const abi::ScratchArea area{begin + i * 8 * kMiB, 4 * kMiB};
    memcpy(machine.At(kArray + i * sizeof(area)), &area, sizeof(area));
  }
  const auto scratch = Scratch::Read(memory, {Addr(kArray), 16 * Scratch::kMaxAreas});
  ASSERT_OK(scratch);
  EXPECT_EQ(scratch.value().area_count(), Scratch::kMaxAreas);
  Scratch full = scratch.value();
  const uint64_t next = begin + 64 * 8 * kMiB;
  EXPECT_ERROR(full.Add({Addr(next), 4 * kMiB}), ErrorCode::kNoSpace, next);
}

TEST_F(ScratchTest, RefusesAnArrayOutsideRam) {
  EXPECT_ERROR(Scratch::Read(machine_.memory, {Addr(TestMachine::kEnd - 8), 16}),
               ErrorCode::kOutsideRam, TestMachine::kEnd - 8);
  EXPECT_ERROR(Scratch::Read(machine_.memory, {Addr(0), 16}), ErrorCode::kOutsideRam, 0u);
}

TEST_F(ScratchTest, RefusesUnalignedAreas) {
  const uint64_t base = TestMachine::kBase;
  EXPECT_ERROR(Read({{base + 0x1000, 4 * kMiB}}), ErrorCode::kScratchUnaligned, base + 0x1000);
  EXPECT_ERROR(Read({{base, 4 * kMiB + 0x1000}}), ErrorCode::kScratchUnaligned, base);
  EXPECT_ERROR(Read({{base, 2 * kMiB}}), ErrorCode::kScratchUnaligned, base);
}

TEST_F(ScratchTest, TakesEmptyAreasButNotThemAlone) {
  const uint64_t base = TestMachine::kBase;
  const Result<Scratch> scratch = Read({{base, 4 * kMiB}, {base, 0}, {base + 4 * kMiB, 0}});
  ASSERT_TRUE(scratch.ok());
  EXPECT_EQ(scratch.value().area_count(), 3u);
  EXPECT_EQ(scratch.value().bytes(), 4 * kMiB);
  EXPECT_FALSE(scratch.value().Overlaps({Addr(base + 4 * kMiB), khocore::kPageSize}));
  const Result<Scratch> empty = Read({{base, 0}, {base + 4 * kMiB, 0}});
  ASSERT_FALSE(empty.ok());
  EXPECT_EQ(empty.error().code, ErrorCode::kScratchLength);
}

TEST_F(ScratchTest, RefusesAreasOutsideRam) {
  const uint64_t end = TestMachine::kEnd;
  EXPECT_ERROR(Read({{end, 4 * kMiB}}), ErrorCode::kOutsideRam, end);
  EXPECT_ERROR(Read({{end - 4 * kMiB, 8 * kMiB}}), ErrorCode::kOutsideRam, end - 4 * kMiB);
  const uint64_t high = ~uint64_t{0} - 4 * kMiB + 1;
  EXPECT_ERROR(Read({{high, 8 * kMiB}}), ErrorCode::kOutsideRam, high);
  Scratch scratch;
  EXPECT_ERROR(scratch.Add({Addr(high), 8 * kMiB}), ErrorCode::kOutsideRam, high);
}

TEST_F(ScratchTest, RefusesOverlap) {
  const uint64_t base = TestMachine::kBase;
  EXPECT_ERROR(Read({{base, 8 * kMiB}, {base + 4 * kMiB, 4 * kMiB}}), ErrorCode::kScratchOverlap,
               base + 4 * kMiB);
  EXPECT_ERROR(Read({{base, 4 * kMiB}, {base, 4 * kMiB}}), ErrorCode::kScratchOverlap, base);
  // With the first of three, not with the one before it.
  EXPECT_ERROR(Read({{base, 8 * kMiB}, {base + 16 * kMiB, 4 * kMiB}, {base + 4 * kMiB, 4 * kMiB}}),
               ErrorCode::kScratchOverlap, base + 4 * kMiB);
}

}  // namespace
}  // namespace khocore
