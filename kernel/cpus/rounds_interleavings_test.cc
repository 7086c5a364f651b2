// SPDX-License-Identifier: BSD-3-Clause
//
// CPUs that start, work and leave, in every interleaving.

#include <gtest/gtest.h>
#include <stdio.h>

#include <vector>

#include "khocore/testing/interleavings.h"

// With its variables, which each interleaving begins with.
#include "kernel/cpus/cpus.cc"  // NOLINT(bugprone-suspicious-include)

using khocore::Interleavings;

namespace {

constexpr size_t kCpus = 3;

/// The machine: CPUs are the workers of an interleaving.
struct Machine {
  size_t cpus;
  size_t rounds;
  void (*entry[kCpus])(size_t number);
  uint32_t is_started[kCpus];
  uint32_t is_off[kCpus];
};
Machine machine;
alignas(arch::kCpuMemory) uint8_t stacks[kCpus][arch::kCpuMemory];

uint64_t written[kCpus];  ///< by each CPU in its round
uint64_t rounds;          ///< of the first CPU

}  // namespace

namespace arch {

uint64_t Counter() { return 0; }
void Pause() { Interleavings::Current()->Wait(); }
void Halt() { Interleavings::Current()->End(); }
size_t CpuNumber() { return Interleavings::Current()->worker(); }
size_t FindCpus(const base::BootInfo&, Note) { return machine.cpus; }
uint64_t HardwareId(size_t number) { return number; }
bool SetCpuAside(uint64_t) { return false; }

StartResult StartCpu(const base::BootInfo&, size_t number, khocore::PhysRange,
                     void (*entry)(size_t number), Note) {
  machine.entry[number] = entry;
  __atomic_store_n(&machine.is_started[number], 1, __ATOMIC_RELEASE);
  return StartResult::kStarted;
}

void LeaveCpu() {
  __atomic_store_n(&machine.is_off[CpuNumber()], 1, __ATOMIC_RELEASE);
  Interleavings::Current()->End();
}

bool RemoveCpu(size_t number) {
  while (!__atomic_load_n(&machine.is_off[number], __ATOMIC_ACQUIRE)) Pause();
  return true;
}

void InterruptOtherCpus() {}

}  // namespace arch

namespace base {

void Panic(const char* format, ...) {
  Interleavings::Current()->Fail(format);
  Interleavings::Current()->End();
}
bool IsPanicking() { return false; }
void StopIfPanicking() {}

}  // namespace base

namespace console {

ConsoleLock::ConsoleLock() = default;
ConsoleLock::~ConsoleLock() {}
void Print(const char*, ...) {}

}  // namespace console

namespace rig {

Event::Event(const char*) {}
Event::~Event() {}
Event& Event::Number(const char*, uint64_t) { return *this; }
Event& Event::Begin(const char*, char) { return *this; }
Event& Event::Item(uint64_t) { return *this; }
Event& Event::End(char) { return *this; }
void Fail(const char*, int, const char*, const char* format, ...) { base::Panic("%s", format); }

}  // namespace rig

namespace memory {

khocore::Result<khocore::PageFrame> PageAllocator::Allocate(khocore::Order) {
  const auto* memory = stacks[cpus::shared.count];
  return khocore::PageFrame::Containing(
      khocore::PhysAddr::FromRaw(reinterpret_cast<uintptr_t>(memory)));
}

}  // namespace memory

namespace {

/// Everything that the first CPU does.
void Boot() {
  static memory::PageAllocator allocator;
  cpus::StartCpus({}, allocator);
  for (size_t round = 0; round < machine.rounds; ++round) {
    ++rounds;
    cpus::RunOnAllCpus([](size_t number) { written[number] += rounds; });
    for (size_t i = 0; i < machine.cpus; ++i) written[i] *= 10;
  }
  cpus::ParkCpus(nullptr);
}

/// The end alone, of CPUs that are at work.
void Leave() { cpus::ParkCpus(nullptr); }
void WaitToLeave() { cpus::WaitAndWork(arch::CpuNumber()); }

void RunOther() {
  const size_t number = arch::CpuNumber();
  while (!__atomic_load_n(&machine.is_started[number], __ATOMIC_ACQUIRE)) arch::Pause();
  machine.entry[number](number);
}

void Interleave(size_t count, size_t rounds_each) {
  const Interleavings::Count all = Interleavings::ForEach([&](Interleavings& run) {
    cpus::shared = {};
    machine = {.cpus = count, .rounds = rounds_each, .entry = {}, .is_started = {}, .is_off = {}};
    rounds = 0;
    for (uint64_t& value : written) value = 0;
    run.ShareVariables();
    std::vector<Interleavings::Work> work(count, RunOther);
    work[0] = Boot;
    if (!run.Run(work)) return;
    for (size_t i = 0; i < count; ++i) {
      // 1 in the first round, 2 in the second, each times ten.
      const uint64_t expected = rounds_each == 1 ? 10 : 120;
      if (written[i] != expected) run.Fail("a CPU has missed a round, or was in one twice");
    }
  });
  if (!all.fault.empty()) ADD_FAILURE() << all.fault;
  printf("%lu interleavings, %lu steps\n", all.interleavings, all.steps);
}

TEST(RoundsInterleavingsTest, ThreeCpusLeave) {
  const Interleavings::Count all = Interleavings::ForEach([](Interleavings& run) {
    machine = {.cpus = kCpus, .rounds = 0, .entry = {}, .is_started = {}, .is_off = {}};
    cpus::shared = {};
    cpus::shared.count = cpus::shared.started = kCpus;
    run.ShareVariables();
    (void)run.Run({Leave, WaitToLeave, WaitToLeave});
  });
  if (!all.fault.empty()) ADD_FAILURE() << all.fault;
  printf("%lu interleavings, %lu steps\n", all.interleavings, all.steps);
}

TEST(RoundsInterleavingsTest, TwoCpusWorkAndLeave) { Interleave(2, 2); }

TEST(RoundsInterleavingsTest, NightlyThreeCpusWorkAndLeave) { Interleave(3, 1); }

}  // namespace
