// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/jump_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace arch {
namespace {

using khocore::PhysAddr;

Segment Piece(uint64_t source, uint64_t bytes, uint64_t destination, uint64_t size) {
  return {"piece", PhysAddr::FromRaw(source), bytes, {PhysAddr::FromRaw(destination), size}};
}

class FillPlanTest : public testing::Test {
 protected:
  void Fill(const std::vector<Segment>& segments) {
    FillPlan({segments.data(), segments.size()}, PhysAddr::FromRaw(0x40200000),
             PhysAddr::FromRaw(0x48000000), &plan_);
  }

  Plan plan_ = {};
};

TEST_F(FillPlanTest, HasEverySegmentAndWhereToGoOn) {
  plan_.copy_count = 5;  // whatever the page held
  Fill({Piece(0x50000000, 0x1234, 0x40200000, 0x200000),
        Piece(0x51000000, 0x2000, 0x48000000, 0x2000)});
  EXPECT_EQ(plan_.entry, 0x40200000u);
  EXPECT_EQ(plan_.parameters, 0x48000000u);
  ASSERT_EQ(plan_.copy_count, 2u);
  EXPECT_EQ(plan_.copies[0].source, 0x50000000u);
  EXPECT_EQ(plan_.copies[0].bytes, 0x1234u);
  EXPECT_EQ(plan_.copies[0].destination, 0x40200000u);
  EXPECT_EQ(plan_.copies[0].size, 0x200000u);
  EXPECT_EQ(plan_.copies[1].destination, 0x48000000u);
  EXPECT_EQ(plan_.copies[1].bytes, 0x2000u);
}

TEST_F(FillPlanTest, TakesAsManySegmentsAsAPageHolds) {
  Fill(std::vector<Segment>(Plan::kMaxCopies, Piece(0, 1, 0x1000, 0x1000)));
  EXPECT_EQ(plan_.copy_count, Plan::kMaxCopies);
  EXPECT_EQ(plan_.copies[Plan::kMaxCopies - 1].destination, 0x1000u);
  EXPECT_DEATH(Fill(std::vector<Segment>(Plan::kMaxCopies + 1, Piece(0, 1, 0x1000, 0x1000))),
               "check failed");
}

TEST_F(FillPlanTest, ASegmentLargerThanItsDestinationIsABug) {
  EXPECT_DEATH(Fill({Piece(0x50000000, 0x1001, 0x40200000, 0x1000)}), "check failed");
  // What a place that was not found looks like.
  EXPECT_DEATH(Fill({Piece(0x50000000, 1, 0, 0)}), "check failed");
}

}  // namespace
}  // namespace arch
