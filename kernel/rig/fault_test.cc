// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/fault.h"

#include <gtest/gtest.h>

#include <string>

#include "kernel/handover/testing/printed.h"

namespace rig {

/// What the points of this test hand to a fault.
struct TestContext {
  int calls = 0;
};
template <>
struct ContextOf<Point::kSealing> {
  using Type = TestContext;
};
template <>
struct ContextOf<Point::kSealed> {
  using Type = TestContext;
};

namespace {

using handover::Count;
using handover::Printed;

void FireTwice(TestContext& context) {
  ++context.calls;
  Fire();
  Fire();
}
void Prepare(TestContext& context) { ++context.calls; }

KHORIG_FAULT(fires) = FaultAt<Point::kSealed, FireTwice>("fires", 2, "R1 R2", "in words");
KHORIG_FAULT(follows) =
    After<Point::kSealing, Prepare>(FaultAt<Point::kSealed, FireTwice>("follows", 3, "", ""));
KHORIG_FAULT(prepares) = FaultAt<Point::kSealed, Prepare>("prepares", 1, "", "");
KHORIG_FAULT(nowhere) = {"nowhere", "", "", 1};

const Fault* Find(const std::string& name) { return FindFault(name.data(), name.size()); }

class FaultTest : public testing::Test {
 protected:
  ~FaultTest() override { ArmFault(nullptr, 1); }

  /// What passing both points prints.
  std::string Pass() {
    return Printed([&] {
      At<Point::kSealing>(context_);
      At<Point::kSealed>(context_);
    });
  }

  TestContext context_;
};

TEST_F(FaultTest, IsFoundByItsWholeName) {
  EXPECT_EQ(Find("fires"), &fires);
  EXPECT_EQ(Find("nowhere"), &nowhere);
  for (const char* other : {"", "fire", "fires2", "Fires"}) {
    EXPECT_EQ(Find(other), nullptr) << other;
  }
}

TEST_F(FaultTest, ActsAtItsPointAndSaysSoOnce) {
  ArmFault(&fires, 2);
  const std::string printed = Pass();
  EXPECT_EQ(context_.calls, 1);
  EXPECT_EQ(Count(printed, "\"ev\":\"fault\""), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"name\":\"fires\""), 1u) << printed;
  EXPECT_EQ(Count(Pass(), "\"ev\":\"fault\""), 0u) << "once in a generation";
}

TEST_F(FaultTest, IsSilentUntilTheDefectHappens) {
  ArmFault(&prepares, 1);
  EXPECT_EQ(Pass(), "");
  EXPECT_EQ(context_.calls, 1);
}

TEST_F(FaultTest, ActsInItsGenerationAlone) {
  for (const uint32_t generation : {1u, 3u}) {
    ArmFault(&fires, generation);
    EXPECT_FALSE(IsArmed(fires));
    EXPECT_EQ(Pass(), "");
  }
  EXPECT_EQ(context_.calls, 0);
}

TEST_F(FaultTest, HasAPreludeInTheGenerationBefore) {
  ArmFault(&follows, 2);
  EXPECT_FALSE(IsArmed(follows));
  EXPECT_EQ(Printed([&] { At<Point::kSealed>(context_); }), "");
  EXPECT_EQ(context_.calls, 0);
  EXPECT_EQ(Pass(), "") << "it says nothing";
  EXPECT_EQ(context_.calls, 1);
  ArmFault(&follows, 1);
  EXPECT_EQ(Pass(), "");
  EXPECT_EQ(context_.calls, 1);
  ArmFault(&follows, 3);
  EXPECT_EQ(Count(Pass(), "\"name\":\"follows\""), 1u);
  EXPECT_EQ(context_.calls, 2);
}

TEST_F(FaultTest, WithoutAPointIsArmedAndActsNowhere) {
  ArmFault(&nowhere, 1);
  EXPECT_TRUE(IsArmed(nowhere));
  EXPECT_FALSE(IsArmed(prepares));
  EXPECT_EQ(Pass(), "");
}

TEST_F(FaultTest, NothingIsArmedByDefault) {
  ArmFault(nullptr, 1);
  EXPECT_FALSE(IsArmed(nowhere));
  EXPECT_EQ(Pass(), "");
  EXPECT_EQ(Printed(Fire), "");
}

}  // namespace
}  // namespace rig
