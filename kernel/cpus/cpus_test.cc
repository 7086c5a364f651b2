// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/cpus/cpus.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "kernel/arch/cpus.h"
#include "kernel/arch/exit.h"
#include "kernel/handover/testing/printed.h"
#include "kernel/handover/testing/test_kernel.h"

namespace cpus {
namespace {

using handover::TestKernel;
using handover::TestRam;

/// CPUs are started once in a process, so each test has its own.
#define IN_A_MACHINE(cpus, statement, pattern)           \
  EXPECT_MACHINE_END(                                    \
      {                                                  \
        setenv("KHORIG_CPUS", cpus, 1);                  \
        TestRam ram;                                     \
        TestKernel kernel(ram);                          \
        StartCpus(kernel.info, kernel.memory.allocator); \
        statement;                                       \
        exit(0);                                         \
      },                                                 \
      0, pattern)

/// Ends the test with another status when `what` is not so.
void Expect(bool what) {
  if (!what) exit(99);
}

TEST(Cpus, OneCpuIsNotReported) {
  IN_A_MACHINE(
      "1",
      {
        Expect(CpuCount() == 1);
        size_t calls = 0;
        RunOnAllCpus([&](size_t number) { calls += number == 0 ? 1 : 100; });
        Expect(calls == 1);
        ParkCpus(nullptr);
      },
      "^$");
}

TEST(Cpus, EachCpuDoesEachWorkOnce) {
  IN_A_MACHINE(
      "4",
      {
        Expect(CpuCount() == 4);
        uint32_t calls[4] = {};
        for (int round = 0; round < 50; ++round) {
          RunOnAllCpus([&](size_t number) {
            Expect(arch::CpuNumber() == number);
            ++calls[number];
          });
          // All are done when the call returns.
          for (const uint32_t count : calls) Expect(count == round + 1u);
        }
        ParkCpus(nullptr);
        Expect(CpuCount() == 1);
      },
      "\"ev\":\"cpus\".*\"found\":4,\"online\":4,.*\"ids\":"
      "\\[\"0x0\",\"0x1\",\"0x2\",\"0x3\"\\]");
}

TEST(Cpus, WorkIsDoneAtTheSameTime) {
  IN_A_MACHINE(
      "3",
      {
        // Each waits for all others: one after the other would not end.
        uint32_t arrived = 0;
        RunOnAllCpus([&](size_t) {
          __atomic_add_fetch(&arrived, 1, __ATOMIC_RELEASE);
          while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) != 3) {
          }
        });
      },
      "");
}

TEST(Cpus, TheLastCpuIsSentAway) {
  IN_A_MACHINE(
      "3",
      {
        static uint32_t left = 0;
        Expect(LastCpu() == 2);
        SendAway([] {
          __atomic_add_fetch(&left, 1, __ATOMIC_RELEASE);
          arch::LeaveCpu();
        });
        while (__atomic_load_n(&left, __ATOMIC_ACQUIRE) != 1) {
        }
        Expect(CpuCount() == 2);
        uint32_t calls = 0;
        RunOnAllCpus([&](size_t number) {
          Expect(number < 2);
          __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
        });
        Expect(calls == 2);
        ParkCpus(nullptr);
        Expect(CpuCount() == 1);
      },
      "\"found\":3,\"online\":2,");
}

TEST(Cpus, ACpuThatNobodyKeptDoesNotComeBack) {
  IN_A_MACHINE("2", Expect(!TakeBack(kernel.info, kernel.memory.allocator)), "");
}

TEST(Cpus, StacksComeFromTheAllocator) {
  IN_A_MACHINE("2", Expect(kernel.memory.frames.missing_pages() == 0), "\"online\":2");
  // Without memory the CPU is left out.
  EXPECT_MACHINE_END(
      {
        setenv("KHORIG_CPUS", "2", 1);
        TestRam ram(khocore::abi::kScratchAlignment);  // all of it scratch
        TestKernel kernel(ram);
        StartCpus(kernel.info, kernel.memory.allocator);
        exit(CpuCount() == 1 ? 0 : 99);
      },
      0, "cpus: no memory for CPU 1");
}

}  // namespace
}  // namespace cpus
