// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/cpu.h"

#include "kernel/arch/arm64/registers.h"
#include "kernel/arch/nanoseconds.h"

/// What Debian's libfdt compares its stack frames with. Fixed, so that the same seed gives the same
/// memory; the zero byte stops string functions.
extern "C" const uint64_t __stack_chk_guard = 0x6b686f7269670001;

namespace arch {

extern const char kName[] = "arm64";
extern const uint64_t kFirstUsable = 0;

uint64_t Counter() {
  InstructionBarrier();
  // A hypervisor may keep the physical counter from EL1; at EL2 the virtual one is the guest's.
  const uint64_t ticks =
      AtEl2() ? KHORIG_READ_REGISTER(cntpct_el0) : KHORIG_READ_REGISTER(cntvct_el0);
  const uint64_t frequency = KHORIG_READ_REGISTER(cntfrq_el0);
  return frequency == 0 ? ticks : NanosecondsOf(ticks, frequency);
}

void Pause() { asm volatile("yield"); }

void Halt() {
  asm volatile("msr daifset, #0xf");
  while (true) asm volatile("wfi");
}

}  // namespace arch
