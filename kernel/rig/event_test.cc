// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/event.h"

#include <gtest/gtest.h>

#include <string>

#include "kernel/arch/exit.h"
#include "kernel/handover/testing/printed.h"
#include "kernel/rig/require.h"
#include "kernel/rig/stop.h"

namespace rig {
namespace {

using arch::ExitStatus;
using handover::Count;
using handover::Printed;

/// An event without what differs from run to run.
template <typename Print>
std::string Members(Print print) {
  const std::string line = Printed(print);
  const size_t time = line.find("\"t\":");
  const size_t end = line.find_first_not_of("0123456789", time + 4);
  return line.substr(0, time) + line.substr(end);
}

/// The first test: nothing forgets a failure.
TEST(Fail, IsRemembered) {
  EXPECT_MACHINE_END(
      {
        if (HasFailed()) exit(1);
        KHORIG_FAIL("it", "went wrong");
        exit(HasFailed() ? 0 : 2);
      },
      0, "\"ev\":\"fail\".*\"what\":\"it\",\"file\":\"kernel/rig/event_test.cc\",\"line\":");
}

TEST(Event, IsOneLineOfJson) {
  SetEventGeneration(7);
  EXPECT_EQ(Members([] {
              Event("x")
                  .Number("number", ~uint64_t{0})
                  .Hex("hex", 0xabc)
                  .Bool("yes", true)
                  .Bool("no", false)
                  .Text("text", "words");
            }),
            "@khorig {\"ev\":\"x\",\"gen\":7,,\"number\":18446744073709551615,\"hex\":\"0xabc\","
            "\"yes\":true,\"no\":false,\"text\":\"words\"}\n");
  SetEventGeneration(1);
}

TEST(Event, NestsArraysAndObjects) {
  EXPECT_EQ(Members([] {
              Event event("x");
              event.Begin("list", '[');
              event.ItemBegin('[').ItemText("a").Item(1).End(']');
              event.ItemBegin('[').Item(2).End(']');
              event.End(']')
                  .Begin("none", '[')
                  .End(']')
                  .Begin("object", '{')
                  .Number("n", 3)
                  .End('}')
                  .Number("m", 4);
            }),
            "@khorig {\"ev\":\"x\",\"gen\":1,,\"list\":[[\"a\",\"0x1\"],[\"0x2\"]],\"none\":[],"
            "\"object\":{\"n\":3},\"m\":4}\n");
}

TEST(Event, TextOfAnyBytesStaysInItsString) {
  const std::string printed =
      Printed([] { Event("x").Text("text", "\"\\\n\r\t\x01\x1f\x7f\x80\xff ~"); });
  EXPECT_EQ(Count(printed, "\n"), 1u);
  EXPECT_EQ(
      Count(printed,
            "\"text\":\"\\\"\\\\\\u000a\\u000d\\u0009\\u0001\\u001f\\u007f\\u0080\\u00ff ~\""),
      1u)
      << printed;
}

TEST(Event, SoDoesAFormattedOne) {
  const std::string printed =
      Printed([] { KHORIG_FAIL("what", "%s %c %u", "a\n@khorig {\"", '"', 3u); });
  EXPECT_EQ(Count(printed, "\n"), 1u);
  EXPECT_EQ(Count(printed, "\"text\":\"a\\u000a@khorig {\\\" \\\" 3\"}"), 1u) << printed;
}

TEST(EndWithError, EndsTheMachineWithItsCause) {
  EXPECT_MACHINE_END(EndWithError(RequestError::kUsage, "cause", "n is %d", 1), ExitStatus::kUsage,
                     "\"ev\":\"error\".*\"cause\":\"cause\",\"text\":\"n is 1\"");
  EXPECT_MACHINE_END(EndWithError(RequestError::kNoMemory, "cause", "x"), ExitStatus::kNoMemory,
                     "\"ev\":\"error\"");
}

TEST(Require, EndsTheRunWithTheEvidence) {
  Require(khocore::Status(khocore::Ok{}), "fine");
  EXPECT_EQ(Require(khocore::Result<int>(5), "fine"), 5);
  const khocore::Error error{khocore::ErrorCode::kOverlap, khocore::PhysAddr::FromRaw(0x1000), 2,
                             3};
  EXPECT_MACHINE_END(Require(khocore::Status(error), "it"), ExitStatus::kFail,
                     "\"what\":\"it\".*overlap at 0x1000: found 0x2, expected 0x3\"");
  EXPECT_MACHINE_END(Require(khocore::Result<int>(error), "it"), ExitStatus::kFail,
                     "\"ev\":\"done\".*\"status\":\"fail\"");
  EXPECT_MACHINE_END(RequireMissing("it"), ExitStatus::kFail, "not-found");
}

TEST(Phase, LeavesTheTimeOutBetweenSuspendAndResume) {
  const auto nanoseconds = [](bool suspended) {
    const std::string printed = Printed([&] {
      Phase phase("p");
      if (suspended) phase.Suspend();
      usleep(20000);
      if (suspended) phase.Resume();
      phase.End(3, 4);
    });
    EXPECT_EQ(Count(printed, "\"blocks\":3,\"pages\":4"), 1u) << printed;
    return std::stoull(printed.substr(printed.find("\"ns\":") + 5));
  };
  EXPECT_GE(nanoseconds(false), 20000000u);
  EXPECT_LT(nanoseconds(true), 20000000u);
  EXPECT_EQ(Count(Printed([] { Phase("p").End(); }), "blocks"), 0u);
}

}  // namespace
}  // namespace rig
