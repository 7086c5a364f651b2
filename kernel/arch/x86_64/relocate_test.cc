// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/relocate.h"

#include <gtest/gtest.h>

#include <vector>

namespace arch {
namespace {

using khocore::PhysAddr;

Segment Piece(uint64_t source, uint64_t bytes, uint64_t destination, uint64_t size) {
  return {"piece", PhysAddr::FromRaw(source), bytes, {PhysAddr::FromRaw(destination), size}};
}

std::vector<RelocatorCopy> Fill(const std::vector<Segment>& segments) {
  std::vector<RelocatorCopy> copies(segments.size());
  FillCopies({segments.data(), segments.size()}, copies.data());
  return copies;
}

TEST(FillCopies, ZeroesTheRestOfTheLastPage) {
  const auto copies = Fill(
      {Piece(0x5000000, 0x1234, 0x200000, 0x200000), Piece(0x6000000, 0x2000, 0x800000, 0x4000)});
  EXPECT_EQ(copies[0].source, 0x5000000u);
  EXPECT_EQ(copies[0].destination, 0x200000u);
  EXPECT_EQ(copies[0].bytes, 0x1234u);
  EXPECT_EQ(copies[0].zeros, 0xdccu);
  EXPECT_EQ(copies[1].source, 0x6000000u);
  EXPECT_EQ(copies[1].destination, 0x800000u);
  EXPECT_EQ(copies[1].bytes, 0x2000u);
  EXPECT_EQ(copies[1].zeros, 0u);
}

TEST(FillCopies, ZeroesNothingBehindTheDestination) {
  EXPECT_EQ(Fill({Piece(0x5000000, 0x1200, 0x200000, 0x1300)})[0].zeros, 0x100u);
  EXPECT_EQ(Fill({Piece(0x5000000, 0x1200, 0x200000, 0x1200)})[0].zeros, 0u);
  EXPECT_EQ(Fill({Piece(0x5000000, 0, 0, 0)})[0].zeros, 0u);
}

TEST(FillCopies, TakesAsManySegmentsAsAPageHolds) {
  Fill(std::vector<Segment>(kMaxCopies, Piece(0, 1, 0x1000, 0x1000)));
  EXPECT_DEATH(Fill(std::vector<Segment>(kMaxCopies + 1, Piece(0, 1, 0x1000, 0x1000))),
               "check failed");
}

TEST(FillCopies, ASegmentLargerThanItsDestinationIsABug) {
  EXPECT_DEATH(Fill({Piece(0x5000000, 0x1001, 0x200000, 0x1000)}), "check failed");
  // What a place that was not found looks like.
  EXPECT_DEATH(Fill({Piece(0x5000000, 1, 0, 0)}), "check failed");
}

}  // namespace
}  // namespace arch
