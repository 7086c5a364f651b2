// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/course.h"

#include <gtest/gtest.h>

#include <string>

#include "kernel/arch/exit.h"
#include "kernel/handover/client.h"
#include "kernel/handover/testing/printed.h"
#include "kernel/handover/testing/test_kernel.h"
#include "kernel/memory/memory.h"

namespace handover {
namespace {

using arch::ExitStatus;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::Ok;
using khocore::Order;
using khocore::PhysAddr;
using khocore::Status;

/// The steps in the order in which they were called.
std::string steps;
Status step_result = Ok{};

Status Note(const char* step) {
  steps += std::string(step) + ' ';
  return step_result;
}

constexpr Client kOne = {
    .name = "one",
    .final_pages = 2,
    .create = [](Generation&) { return Note("create-1"); },
    .keep_cpus = [](Incoming&) { return Note("keep-1"); },
    .restore = [](Incoming&) { return Note("restore-1"); },
    .verify = [](Incoming&) { (void)Note("verify-1"); },
    .adopt = [](Generation&) { return Note("adopt-1"); },
    .preserve = [](Outgoing&) { return Note("preserve-1"); },
    .freeze = [](Outgoing&) { return Note("freeze-1"); },
    .serialize = [](Outgoing&) { return Note("serialize-1"); },
};
constexpr Client kTwo = {
    .name = "two",
    .final_pages = 3,
    .create = [](Generation&) { return Note("create-2"); },
    .keep_cpus = [](Incoming&) { return Note("keep-2"); },
    .restore = [](Incoming&) { return Note("restore-2"); },
    .verify = [](Incoming&) { (void)Note("verify-2"); },
    .adopt = [](Generation&) { return Note("adopt-2"); },
    .preserve = [](Outgoing&) { return Note("preserve-2"); },
    .freeze = [](Outgoing&) { return Note("freeze-2"); },
    .serialize = [](Outgoing&) { return Note("serialize-2"); },
};
constexpr Client kNone = {.name = "none"};
constexpr const Client* kList[] = {&kOne, &kNone, &kTwo};
constexpr Clients kClients = {kList, 3};
static_assert(FinalPages(kClients) == Outgoing::kFinalPages + 5);

Scenario SomeScenario(bool expects_refusal = false) {
  return {.name = "test",
          .summary = "",
          .expects_refusal = expects_refusal,
          .clients = kClients,
          .create = [](Generation&) { (void)Note("create"); },
          .restore = [](Incoming&) { (void)Note("restore"); },
          .verify = [](Incoming&) { (void)Note("verify"); },
          .preserve = [](Outgoing&) { (void)Note("preserve"); }};
}

class CourseTest : public testing::Test {
 protected:
  CourseTest() {
    steps.clear();
    step_result = Ok{};
  }

  PhysAddr HandOver() {
    Printed([&] { Seal(first_.outgoing, SomeScenario()); });
    return first_.outgoing.root().address();
  }

  TestRam ram_;
  TestKernel first_{ram_};
};

TEST_F(CourseTest, AColdStartCreatesTheClientsFirst) {
  const std::string printed = Printed([&] { StartCold(first_.generation, SomeScenario(), false); });
  EXPECT_EQ(steps, "create-1 create-2 create ");
  EXPECT_EQ(Count(printed, "\"ev\":\"phase\""), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"name\":\"create\""), 1u) << printed;
}

TEST_F(CourseTest, ALaterColdStartIsAFailure) {
  first_.options.generation = 2;
  EXPECT_MACHINE_END(StartCold(first_.generation, SomeScenario(), false), ExitStatus::kFail,
                     "generation 2 found nothing to take over");
  EXPECT_MACHINE_END(StartCold(first_.generation, SomeScenario(), true), ExitStatus::kFail,
                     "generation 2 found nothing to take over");
}

TEST_F(CourseTest, ALaterColdStartIsExpectedAfterARefusalAlone) {
  first_.options.generation = 2;
  EXPECT_MACHINE_END(StartCold(first_.generation, SomeScenario(true), false), ExitStatus::kFail,
                     "generation 2 found nothing to take over");
  Printed([&] { StartCold(first_.generation, SomeScenario(true), true); });
  EXPECT_EQ(steps, "create-1 create-2 create ");
}

TEST_F(CourseTest, SealingPreservesThenFreezesThenSerializes) {
  const std::string printed = Printed([&] { Seal(first_.outgoing, SomeScenario()); });
  EXPECT_EQ(steps, "preserve preserve-1 preserve-2 freeze-1 freeze-2 serialize-1 serialize-2 ");
  EXPECT_EQ(Count(printed, "\"name\":\"serialize\""), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"name\":\"finalize\""), 1u) << printed;
}

TEST_F(CourseTest, TakingOverRestoresVerifiesAndAdopts) {
  const PhysAddr root = HandOver();
  steps.clear();
  TestKernel second(ram_, 2, root);
  const uint64_t free = second.memory.allocator.free_pages();
  const std::string printed = Printed([&] { TakeOver(second.incoming, SomeScenario()); });
  EXPECT_EQ(steps, "restore-1 restore-2 restore verify-1 verify-2 verify adopt-1 adopt-2 ");
  EXPECT_EQ(Count(printed, "\"ev\":\"restored\""), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"ev\":\"fail\""), 0u) << printed;
  EXPECT_EQ(second.memory.allocator.free_pages(), free + 1) << "the root is released";
}

TEST_F(CourseTest, CpusAreKeptBeforeAnythingIsRestored) {
  const PhysAddr root = HandOver();
  steps.clear();
  TestKernel second(ram_, 2, root);
  KeepCpus(second.incoming, SomeScenario());
  EXPECT_EQ(steps, "keep-1 keep-2 ");
  EXPECT_EQ(second.incoming.restored().blocks, 0u);
  step_result = khocore::Error{ErrorCode::kMagic};
  EXPECT_MACHINE_END(KeepCpus(second.incoming, SomeScenario()), ExitStatus::kFail,
                     "\"what\":\"one\".*magic");
}

TEST_F(CourseTest, ABlockThatNobodyTakesBackIsAFailure) {
  Printed([&] {
    Scenario scenario = SomeScenario();
    scenario.preserve = [](Outgoing& outgoing) {
      const auto page = outgoing.generation().allocator.Allocate(Order::FromLog2(1));
      ASSERT_OK(page);
      ASSERT_OK(outgoing.tracker().Preserve({page.value(), Order::FromLog2(1)}));
    };
    Seal(first_.outgoing, scenario);
  });
  TestKernel second(ram_, 2, first_.outgoing.root().address());
  const std::string printed = Printed([&] { TakeOver(second.incoming, SomeScenario()); });
  EXPECT_EQ(Count(printed, "1 blocks with 1 pages of 2 with 3 were taken back"), 1u) << printed;
}

TEST_F(CourseTest, AnErrorOfAStepEndsTheRunInTheClientsName) {
  step_result = khocore::Error{ErrorCode::kOverlap};
  EXPECT_MACHINE_END(StartCold(first_.generation, SomeScenario(), false), ExitStatus::kFail,
                     "\"what\":\"one\".*overlap");
  EXPECT_MACHINE_END(Seal(first_.outgoing, SomeScenario()), ExitStatus::kFail,
                     "\"what\":\"one\".*overlap");
}

TEST_F(CourseTest, AClientThatTakesMoreThanItNamedEndsTheRun) {
  static constexpr Client kGreedy = {
      .name = "greedy", .final_pages = 1, .serialize = [](Outgoing& outgoing) -> Status {
        for (int i = 0; i < 3; ++i) {
          const auto page = outgoing.final_pages().AllocatePage();
          if (!page.ok()) return page.error();
        }
        return Ok{};
      }};
  static constexpr const Client* kGreedyList[] = {&kGreedy};
  Scenario scenario = SomeScenario();
  scenario.clients = {kGreedyList, 1};
  EXPECT_MACHINE_END(Seal(first_.outgoing, scenario), ExitStatus::kFail,
                     "\"what\":\"greedy\".*out-of-memory");
}

/// As a boot protocol passes it on.
base::BootInfo MachineOf(const TestRam& ram) {
  base::BootInfo info = {};
  info.regions[info.region_count++] = {ram.all, base::MemoryType::kRam};
  return info;
}

TEST(SetUpMemory, RefusesAMalformedHandover) {
  static base::BootInfo info;
  static memory::Memory memory;
  static rig::Options options;
  const auto end_if = [](bool wrong) { exit(wrong ? 99 : 0); };
  // Without ranges, with a root alone, with a scratch array that is none.
  const struct {
    khocore::PhysRange root;
    khocore::PhysRange scratch;
    const char* cause;
  } kCases[] = {
      {{}, {}, "\"cause\":\"property-size\""},
      {{PhysAddr::FromRaw(0x1000), 0}, {PhysAddr::FromRaw(0x1000), 16}, "property-size"},
      {{PhysAddr::FromRaw(0x1000), kPageSize}, {}, "\"cause\":\"scratch-length\""},
      {{PhysAddr::FromRaw(0x1000), kPageSize}, {PhysAddr::FromRaw(0x1000), 16}, "outside-ram"},
  };
  for (const auto& c : kCases) {
    EXPECT_MACHINE_END(
        {
          TestRam ram(uint64_t{64} << 20);
          info = MachineOf(ram);
          info.has_handover = true;
          info.kho_root = c.root;
          info.kho_scratch = c.scratch;
          memory::SetUpMemory(info, options, &memory);
          end_if(memory.has_incoming || !memory.has_refused);
        },
        0, c.cause);
  }
}

TEST(SetUpMemory, AColdBootRefusesNothing) {
  static base::BootInfo info;
  static memory::Memory memory;
  static rig::Options options;
  EXPECT_MACHINE_END(
      {
        TestRam ram(uint64_t{64} << 20);
        info = MachineOf(ram);
        memory::SetUpMemory(info, options, &memory);
        exit(memory.has_incoming || memory.has_refused ? 99 : 0);
      },
      0, "^$");
}

}  // namespace
}  // namespace handover
