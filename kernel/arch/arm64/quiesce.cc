// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/quiesce.h"

#include "kernel/arch/arm64/gic.h"
#include "kernel/arch/arm64/machine.h"
#include "kernel/arch/arm64/registers.h"
#include "kernel/arch/cpu.h"
#include "kernel/arch/nanoseconds.h"

// Arm ARM (DDI 0487), generic timer.

namespace arch {

namespace {

constexpr uint64_t kTimerEnable = 1;

/// Switches a timer off; 1 when it was on.
#define KHORIG_STOP_TIMER(control)                                           \
  ({                                                                         \
    const unsigned khorig_on = KHORIG_READ_REGISTER(control) & kTimerEnable; \
    KHORIG_WRITE_REGISTER(control, 0);                                       \
    khorig_on;                                                               \
  })
/// Arms a timer for a time that has passed: its interrupt is pending until it is switched off.
#define KHORIG_START_TIMER(control, compare)      \
  do {                                            \
    KHORIG_WRITE_REGISTER(compare, 0);            \
    KHORIG_WRITE_REGISTER(control, kTimerEnable); \
  } while (false)

}  // namespace

void DisableInterrupts() { asm volatile("msr daifset, #0xf" ::: "memory"); }

unsigned StopTimers() {
  unsigned running = KHORIG_STOP_TIMER(cntp_ctl_el0) + KHORIG_STOP_TIMER(cntv_ctl_el0);
  if (AtEl2()) {
    running += KHORIG_STOP_TIMER(cnthp_ctl_el2);
    if (HasVhe()) running += KHORIG_STOP_TIMER(s3_4_c14_c3_1);
  }
  InstructionBarrier();
  return running;
}

unsigned StopInterruptLines() { return MaskGic(this_machine); }

unsigned StopInterruptControllers() { return StopGic(this_machine); }

/// The timer's interrupt is not taken: that it is pending ends a `wfi`.
void Sleep(uint64_t nanoseconds) {
  const uint64_t frequency = KHORIG_READ_REGISTER(cntfrq_el0);
  const uint64_t started = Counter();
  (void)StopTimers();
  (void)StopInterruptLines();
  const bool can_idle = frequency != 0 && EnableTimerLines(this_machine);
  for (;;) {
    const uint64_t passed = Counter() - started;
    if (passed >= nanoseconds) break;
    if (!can_idle) {
      Pause();
      continue;
    }
    // A tick more than the rest; the register has 32 bits with a sign.
    constexpr uint64_t kLongest = 1'000'000'000;
    const uint64_t left = nanoseconds - passed < kLongest ? nanoseconds - passed : kLongest;
    const uint64_t ticks = left * frequency / kNanosecondsPerSecond + 1;
    KHORIG_WRITE_REGISTER(cntv_tval_el0, ticks < 0x7fffffff ? ticks : 0x7fffffff);
    KHORIG_WRITE_REGISTER(cntv_ctl_el0, kTimerEnable);
    InstructionBarrier();
    asm volatile("dsb sy; wfi" ::: "memory");
    KHORIG_WRITE_REGISTER(cntv_ctl_el0, 0);
    InstructionBarrier();
  }
  if (can_idle) DisableTimerLines();
}

void StartTimers() {
  KHORIG_START_TIMER(cntp_ctl_el0, cntp_cval_el0);
  KHORIG_START_TIMER(cntv_ctl_el0, cntv_cval_el0);
  if (AtEl2()) {
    KHORIG_START_TIMER(cnthp_ctl_el2, cnthp_cval_el2);
    if (HasVhe()) KHORIG_START_TIMER(s3_4_c14_c3_1, s3_4_c14_c3_2);
  }
  InstructionBarrier();
}

void StartInterruptLines() { UnmaskGic(this_machine); }

uint64_t InterruptTableBytes(size_t cpus) { return GicTableBytes(this_machine, cpus); }

void StartInterruptControllers(khocore::PhysRange tables) { StartGic(this_machine, tables); }

}  // namespace arch
