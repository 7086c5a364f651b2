// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/started_cpus.h"

#include <gtest/gtest.h>

#include "kernel/arch/cpu.h"
#include "kernel/arch/cpu_stacks.h"
#include "kernel/arch/mmu.h"

// The first CPU's stack, of 32 KiB above a page, which a linker script defines elsewhere.
asm(R"(
  .globl __stack_guard, __stack_begin, __stack_end
  .set __stack_guard, 0x10000
  .set __stack_begin, 0x11000
  .set __stack_end, 0x19000
)");

namespace arch {

const uint64_t kImageBase = 0xffffffff80000000;

namespace {
uint64_t now = 0;
unsigned pauses = 0;
}  // namespace

/// Time goes on by a microsecond each time somebody waits.
uint64_t Counter() { return now; }
void Pause() {
  ++pauses;
  now += 1000;
}

namespace {

using khocore::PhysAddr;
using khocore::PhysRange;

TEST(StartedCpus, WaitsForACpuAsLongAsItWasTold) {
  StartedCpus cpus;
  now = ~uint64_t{0} - 2000;  // the counter may wrap
  pauses = 0;
  EXPECT_FALSE(cpus.Await(1, 5000));
  EXPECT_EQ(pauses, 6u);
  EXPECT_TRUE(cpus.MarkOnline(1));
  EXPECT_TRUE(cpus.Await(1, 0));
  EXPECT_FALSE(cpus.Await(2, 0));
}

TEST(StartedCpus, ACpuIsEitherOnlineOrAbandoned) {
  StartedCpus cpus;
  EXPECT_TRUE(cpus.MarkOnline(1));
  EXPECT_FALSE(cpus.Abandon(1));
  EXPECT_TRUE(cpus.Await(1, 0));
  EXPECT_TRUE(cpus.Abandon(2));
  EXPECT_FALSE(cpus.MarkOnline(2));
  EXPECT_FALSE(cpus.Await(2, 0));
}

TEST(StartedCpus, FindsTheStackThatAnAddressLiesIn) {
  StartedCpus cpus;
  const PhysRange first{PhysAddr::FromRaw(0x11000), 0x8000};
  EXPECT_EQ(cpus.StackAround(0x11000), first);
  EXPECT_EQ(cpus.StackAround(0x18fff), first);
  EXPECT_EQ(cpus.StackAround(0x10fff).size, 0u);
  EXPECT_EQ(cpus.StackAround(0x19000).size, 0u);
  const PhysRange stack = CpuStack(kImageBase, 3);
  EXPECT_EQ(cpus.StackAround(stack.begin.raw()).size, 0u);
  cpus.SetStack(3, stack);
  EXPECT_EQ(cpus.StackAround(stack.begin.raw()), stack);
  EXPECT_EQ(cpus.StackAround(stack.end().raw() - 1), stack);
  EXPECT_EQ(cpus.StackAround(stack.end().raw()).size, 0u);
  EXPECT_EQ(cpus.StackAround(stack.begin.raw() - 1).size, 0u);
}

TEST(CpuStack, EachHasItsOwnAndNothingBelow) {
  uint64_t end = kImageBase + kImageMaxSize;
  for (size_t number = 0; number < kMaxCpus; ++number) {
    const PhysRange stack = CpuStack(kImageBase, number);
    EXPECT_EQ(stack.size, kCpuStackBytes);
    EXPECT_GE(stack.begin.raw() - end, khocore::kPageSize) << number;
    for (const uint64_t below : {stack.begin.raw() - 1, end}) {
      EXPECT_TRUE(IsStackGuard(below)) << number << std::hex << " 0x" << below;
    }
    EXPECT_FALSE(IsStackGuard(stack.begin.raw())) << number;
    EXPECT_FALSE(IsStackGuard(stack.end().raw() - 1)) << number;
    end = stack.end().raw();
  }
  EXPECT_FALSE(IsStackGuard(end));
  EXPECT_FALSE(IsStackGuard(kImageBase + kImageMaxSize - 1));
}

TEST(IsStackGuard, KnowsThatOfTheFirstCpu) {
  EXPECT_FALSE(IsStackGuard(0xffff));
  EXPECT_TRUE(IsStackGuard(0x10000));
  EXPECT_TRUE(IsStackGuard(0x10fff));
  EXPECT_FALSE(IsStackGuard(0x11000));
  EXPECT_FALSE(IsStackGuard(0));
}

}  // namespace
}  // namespace arch
