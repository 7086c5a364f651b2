// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/quiesce.h"

#include "kernel/arch/arm64/gic.h"
#include "kernel/arch/arm64/machine.h"
#include "kernel/arch/arm64/pci.h"
#include "kernel/arch/arm64/registers.h"

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

unsigned StopTimers() {
  unsigned running = KHORIG_STOP_TIMER(cntp_ctl_el0) + KHORIG_STOP_TIMER(cntv_ctl_el0);
  if (AtEl2()) {
    running += KHORIG_STOP_TIMER(cnthp_ctl_el2);
    // CNTHV_CTL_EL2, which came with VHE: a kernel that used VHE has it under the name
    // CNTV_CTL_EL0.
    const bool has_vhe = (KHORIG_READ_REGISTER(id_aa64mmfr1_el1) >> 8 & 0xf) != 0;
    if (has_vhe) running += KHORIG_STOP_TIMER(s3_4_c14_c3_1);
  }
  InstructionBarrier();
  return running;
}

}  // namespace

void Quiesce(void (*report)(const char* what, unsigned count)) {
  asm volatile("msr daifset, #0xf" ::: "memory");
  report("timers", StopTimers());
  report("interrupt controller", StopGic(this_machine));
  report("PCI bus mastering", StopPciBusMastering(this_machine));
}

}  // namespace arch
