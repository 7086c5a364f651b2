// SPDX-License-Identifier: BSD-3-Clause
//
// What CPUs share without knowing of each other, in every interleaving.

#include <gtest/gtest.h>
#include <stdio.h>

#include <functional>
#include <vector>

#include "kernel/arch/cpu.h"
#include "kernel/arch/cpus.h"
#include "kernel/arch/spin_lock.h"
#include "kernel/arch/started_cpus.h"
#include "kernel/base/panic.h"
#include "kernel/console/console_lock.h"
#include "khocore/testing/interleavings.h"

using khocore::Interleavings;

namespace {

/// What the locks guard.
struct Guarded {
  uint64_t count;
  arch::SpinLock lock;
  arch::StartedCpus cpus;
};
Guarded guarded;
bool is_timed;  ///< whether those that poll do not wait for ever

}  // namespace

// The machine: CPUs are the workers of an interleaving.
extern "C" const uint8_t __stack_guard[1] = {};
extern "C" const uint8_t __stack_begin[1] = {};
extern "C" const uint8_t __stack_end[1] = {};

namespace arch {

extern const uint64_t kImageBase;
const uint64_t kImageBase = 0;
uint64_t Counter() {
  static uint64_t time = 0;
  return ++time;
}
void Pause() {
  if (!is_timed) Interleavings::Current()->Wait();
}
size_t CpuNumber() { return Interleavings::Current()->worker(); }

}  // namespace arch

namespace base {

bool IsPanicking() { return false; }
void StopIfPanicking() {}

}  // namespace base

namespace {

/// Runs the same on so many CPUs; each adds `adds` to the count.
void Interleave(size_t cpus, uint64_t adds, const std::function<void()>& work) {
  const Interleavings::Count count = Interleavings::ForEach([&](Interleavings& run) {
    guarded.count = 0;
    run.Share(&guarded, sizeof(guarded), "guarded", 1);
    run.ShareVariables();
    is_timed = false;
    if (!run.Run(std::vector<Interleavings::Work>(cpus, work))) return;
    if (guarded.count != cpus * adds) run.Fail("the lock was held by two CPUs");
  });
  if (!count.fault.empty()) ADD_FAILURE() << count.fault;
  printf("%lu interleavings, %lu steps\n", count.interleavings, count.steps);
}

void TakeSpinLock() {
  const arch::SpinGuard guard(guarded.lock);
  ++guarded.count;
}

void TakeSpinLockTwice() {
  TakeSpinLock();
  TakeSpinLock();
}

void TakeConsoleLock() {
  const console::ConsoleLock lock;
  ++guarded.count;
  const console::ConsoleLock again;
  ++guarded.count;
}

TEST(LocksInterleavingsTest, OneCpuHoldsASpinLock) {
  Interleave(2, 1, TakeSpinLock);
  Interleave(2, 2, TakeSpinLockTwice);
  Interleave(3, 1, TakeSpinLock);
}

TEST(LocksInterleavingsTest, OneCpuHoldsTheConsole) {
  Interleave(2, 2, TakeConsoleLock);
  Interleave(3, 2, TakeConsoleLock);
}

/// The first CPU waits for the second and abandons it if it comes too late: both agree on whether
/// it is online, and what it wrote before is seen.
TEST(LocksInterleavingsTest, ACpuIsOnlineOrAbandoned) {
  bool was_online = false, was_abandoned = false;
  const Interleavings::Count count = Interleavings::ForEach([&](Interleavings& run) {
    guarded.count = 0;
    guarded.cpus = {};
    is_timed = true;
    run.Share(&guarded, sizeof(guarded), "guarded", 1);
    bool is_online = false, knows = false;
    if (!run.Run({[&] {
                    is_online = guarded.cpus.Await(1, 1) || !guarded.cpus.Abandon(1);
                    if (is_online) ++guarded.count;
                  },
                  [&] {
                    guarded.count = 1;
                    knows = guarded.cpus.MarkOnline(1);
                  }})) {
      return;
    }
    (is_online ? was_online : was_abandoned) = true;
    if (is_online != knows) run.Fail("the CPUs do not agree on whether the second is online");
    if (guarded.count != 1 + is_online) run.Fail("what the CPU wrote is not seen");
  });
  if (!count.fault.empty()) ADD_FAILURE() << count.fault;
  EXPECT_TRUE(was_online);
  EXPECT_TRUE(was_abandoned);
  printf("%lu interleavings, %lu steps\n", count.interleavings, count.steps);
}

}  // namespace
