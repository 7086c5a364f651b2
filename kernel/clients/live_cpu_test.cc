// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/live_cpu.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/arch/exit.h"
#include "kernel/base/direct_map.h"
#include "kernel/cpus/cpus.h"
#include "kernel/handover/testing/printed.h"
#include "kernel/handover/testing/test_kernel.h"

namespace clients {
namespace {

using handover::CodeOf;
using handover::Count;
using handover::Printed;
using handover::TestKernel;
using handover::TestRam;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::abi::LiveCpu;
using khocore::abi::LiveCpuCounter;

/// A thread is no CPU that could run on, so a test plays it.
class LiveCpuTest : public testing::Test {
 protected:
  LiveCpuTest() {
    blob_ = Address(first_.PreservePage());
    LiveCpu& cpu = description();
    memset(&cpu, 0, sizeof(cpu));
    cpu.magic = khocore::abi::kLiveCpuMagic;
    cpu.hardware_id = 1;
    cpu.iterations = 5;
    cpu.table_count = 2;
    for (unsigned i = 0; i < 2; ++i) cpu.tables[i] = Address(first_.PreservePage());
    cpu.text.physical = Address(first_.PreservePage());
    cpu.stack.physical = Address(first_.PreservePage());
    cpu.counter.physical = Address(first_.PreservePage());
    cpu.mailbox.physical = Address(first_.PreservePage());
    counter() = {6, 0};
  }

  static uint64_t Address(const uint8_t* page) { return reinterpret_cast<uint64_t>(page); }
  LiveCpu& description() const { return *base::Direct<LiveCpu>(PhysAddr::FromRaw(blob_)); }
  LiveCpuCounter& counter() const {
    return *base::Direct<LiveCpuCounter>(PhysAddr::FromRaw(description().counter.physical));
  }

  PhysAddr HandOver(uint64_t size = sizeof(LiveCpu)) {
    EXPECT_TRUE(first_.outgoing.AddLink("live-cpu", {PhysAddr::FromRaw(blob_), size}).ok());
    return first_.Close();
  }

  /// What the next kernel makes of it.
  ErrorCode RestoreError(uint64_t size = sizeof(LiveCpu)) {
    TestKernel second(ram_, 2, HandOver(size));
    return CodeOf(live_.Restore(second.incoming));
  }

  TestRam ram_;
  struct Begun : TestKernel {
    explicit Begun(TestRam& ram) : TestKernel(ram) { Begin(); }
  } first_{ram_};
  uint64_t blob_ = 0;
  LiveCpuClient live_;
};

TEST_F(LiveCpuTest, ThereIsNoneOnThisMachine) {
  EXPECT_MACHINE_END((void)live_.Start(first_.generation), arch::ExitStatus::kUsage,
                     "no CPU can run on across a jump here");
}

TEST_F(LiveCpuTest, EveryPageIsTakenBack) {
  TestKernel second(ram_, 2, HandOver());
  ASSERT_OK(live_.Keep(second.incoming));
  ASSERT_OK(live_.Restore(second.incoming));
  EXPECT_EQ(second.incoming.restored().pages, 1 + 2 + 4 + 1u) << "and the khorig fragment";
  EXPECT_EQ(live_.cpu()->hardware_id, 1u);
}

TEST_F(LiveCpuTest, AnIterationSinceIsEnough) {
  TestKernel second(ram_, 2, HandOver());
  ASSERT_OK(live_.Restore(second.incoming));
  const std::string printed = Printed([&] { live_.Verify(); });
  EXPECT_EQ(Count(printed, "\"what\":\"iterations\",\"value\":6"), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"ev\":\"fail\""), 0u) << printed;
}

TEST_F(LiveCpuTest, ACpuThatStandsStillIsAFailure) {
  counter().iterations = 5;
  TestKernel second(ram_, 2, HandOver());
  ASSERT_OK(live_.Restore(second.incoming));
  const std::string printed = Printed([&] { live_.Verify(); });
  EXPECT_EQ(Count(printed, "CPU 0x1 has stopped: 5 iterations, there were 5 before"), 1u)
      << printed;
}

TEST_F(LiveCpuTest, OnlyTheLastGenerationTakesItBack) {
  TestKernel second(ram_, 2, HandOver());
  ASSERT_OK(live_.Restore(second.incoming));
  second.options.generations = 3;
  ASSERT_OK(live_.Adopt(second.generation));
  const auto mailbox = PhysAddr::FromRaw(description().mailbox.physical);
  EXPECT_EQ(*base::Direct<uint64_t>(mailbox), 0u);
}

TEST_F(LiveCpuTest, ACpuThatDoesNotComeBackIsAFailure) {
  counter().has_left = 1;
  TestKernel second(ram_, 2, HandOver());
  ASSERT_OK(live_.Restore(second.incoming));
  second.options.generations = 2;
  const std::string printed = Printed([&] { ASSERT_OK(live_.Adopt(second.generation)); });
  EXPECT_EQ(Count(printed, "CPU 0x1 does not come back"), 1u) << printed;
  const auto mailbox = PhysAddr::FromRaw(description().mailbox.physical);
  EXPECT_NE(*base::Direct<uint64_t>(mailbox), 0u);
}

TEST_F(LiveCpuTest, AnotherSize) { EXPECT_EQ(RestoreError(8), ErrorCode::kBlobSizeRange); }

TEST_F(LiveCpuTest, AnotherMagic) {
  description().magic ^= 1;
  EXPECT_EQ(RestoreError(), ErrorCode::kMagic);
}

TEST_F(LiveCpuTest, NoTables) {
  description().table_count = 0;
  EXPECT_EQ(RestoreError(), ErrorCode::kBlobSizeRange);
}

TEST_F(LiveCpuTest, TooManyTables) {
  description().table_count = LiveCpu::kMaxTables + 1;
  EXPECT_EQ(RestoreError(), ErrorCode::kBlobSizeRange);
}

TEST_F(LiveCpuTest, ACounterAcrossTwoPages) {
  description().counter.physical += kPageSize - 8;
  EXPECT_EQ(RestoreError(), ErrorCode::kUnaligned);
}

TEST_F(LiveCpuTest, APageOutsideRam) {
  description().stack.physical = ram_.all.end().raw();
  EXPECT_NE(RestoreError(), ErrorCode::kCount);
}

TEST_F(LiveCpuTest, APageTwice) {
  description().stack.physical = description().counter.physical;
  EXPECT_EQ(RestoreError(), ErrorCode::kNotPreserved);
}

TEST_F(LiveCpuTest, NoneWasHandedOver) {
  TestKernel second(ram_, 2, first_.Close());
  EXPECT_NE(CodeOf(live_.Keep(second.incoming)), ErrorCode::kCount);
}

TEST(KeptCpu, OneThatIsNotThereIsAFailure) {
  EXPECT_MACHINE_END(
      {
        setenv("KHORIG_CPUS", "3", 1);
        TestRam ram;
        TestKernel kernel(ram);
        cpus::KeepAway(7);
        cpus::StartCpus(kernel.info, kernel.memory.allocator);
        exit(cpus::CpuCount() == 3 ? 0 : 99);
      },
      0, "there is no CPU 0x7 to leave alone");
}

}  // namespace
}  // namespace clients
