// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arch.h"
#include "kernel/arch/arm64/machine.h"
#include "kernel/arch/arm64/mmio.h"
#include "kernel/arch/arm64/pci.h"
#include "kernel/arch/arm64/registers.h"

// Arm ARM (DDI 0487), generic timer; Arm GIC architecture 2.0 (IHI 0048) and 3 (IHI 0069).

namespace arch {

using khocore::PhysAddr;

namespace {

constexpr uint64_t kTimerEnable = 1;

constexpr uint64_t kDistributorControl = 0;
constexpr uint64_t kCpuControl = 0;
constexpr uint32_t kGroups = 7;  // the enable bits of version 3; version 2 has the first two
constexpr uint32_t kWritePending = uint32_t{1} << 31;
constexpr unsigned kPollLimit = 1'000'000;

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

/// Clears `bits` in a register; 1 when one was set.
unsigned ClearBits(PhysAddr address, uint32_t bits) {
  const uint32_t value = ReadMmio32(address);
  WriteMmio32(address, value & ~bits);
  return (value & bits) != 0 ? 1 : 0;
}

/// How many of distributor and CPU interface were on.
unsigned StopGic(const Machine& machine) {
  if (machine.gic == Machine::Gic::kNone || !MapDevice(machine.gic_distributor).ok()) return 0;
  const PhysAddr control = machine.gic_distributor.begin + kDistributorControl;
  unsigned running = 0;
  if (machine.gic == Machine::Gic::kV2) {
    if (MapDevice(machine.gic_cpu).ok()) {
      running += ClearBits(machine.gic_cpu.begin + kCpuControl, kGroups);
    }
  } else {
    // ICC_IGRPEN1_EL1; the boot protocol promises system registers where there is a GICv3.
    running += KHORIG_READ_REGISTER(s3_0_c12_c12_7) & 1;
    KHORIG_WRITE_REGISTER(s3_0_c12_c12_7, 0);
    InstructionBarrier();
  }
  running += ClearBits(control, kGroups);
  for (unsigned i = 0; i < kPollLimit && machine.gic == Machine::Gic::kV3; ++i) {
    if ((ReadMmio32(control) & kWritePending) == 0) break;
  }
  return running;
}

}  // namespace

void Quiesce(void (*said)(const char* what, unsigned count)) {
  asm volatile("msr daifset, #0xf" ::: "memory");
  said("timers", StopTimers());
  said("interrupt controller", StopGic(this_machine));
  said("PCI bus mastering", StopPciBusMastering(this_machine));
}

}  // namespace arch
