// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/gic.h"

#include "kernel/arch/arm64/gic_registers.h"
#include "kernel/arch/arm64/registers.h"
#include "kernel/arch/mmu.h"
#include "kernel/arch/quiesce.h"

namespace arch {

using gic::AwaitClear;
using gic::ClearBits;
using gic::kByAffinity;
using gic::kClearPending;
using gic::kControl;
using gic::kCpuControl;
using gic::kDisable;
using gic::kEnable;
using gic::kFirstGroup;
using gic::kFrame;
using gic::kGroup1;
using gic::kGroups;
using gic::kWritePending;
using khocore::PhysAddr;

namespace {

/// One of the eight that are left to non-secure software.
constexpr unsigned kInterrupt = 7;
constexpr uint32_t kInterruptBit = 1 << kInterrupt;
// Where registers have a byte for each interrupt: its word and its byte in there.
constexpr uint64_t kWordOffset = 4;
constexpr uint32_t kByteMask = 0xff000000;
static_assert(kInterrupt / 4 == 1 && kInterrupt % 4 == 3);

/// Masks all but the SGI, which has priority 0: Linux uses 0xa0, EDK II 0x80. 0x10 is the next
/// level that every GIC has.
constexpr uint32_t kPriorityMask = 0x10;

// Distributor.
constexpr uint64_t kSend = 0xf00;       // version 2
constexpr uint64_t kClearSent = 0xf10;  // version 2: a byte for each interrupt
constexpr uint32_t kToOthers = 1 << 24;

// A CPU's own interrupts: in the distributor of version 2, in the redistributor of version 3.
constexpr uint64_t kGroup = 0x80;
constexpr uint64_t kPriority = 0x400;  // a byte for each

// CPU interface of version 2.
constexpr uint64_t kCpuPriorityMask = 4;
constexpr uint64_t kCpuAcknowledge = 0xc;

// Redistributor.
constexpr uint64_t kWaker = 0x14;
constexpr uint32_t kAsleep = 1 << 1;
constexpr uint32_t kChildrenAsleep = 1 << 2;

constexpr uint64_t kSendToOthers = uint64_t{1} << 40 | kInterrupt << 24;  // ICC_SGI1R_EL1

/// The private interrupts of the generic timers (Arm BSA).
constexpr uint32_t kTimerLines = 1 << 26 | 1 << 27 | 1 << 28 | 1 << 30;

const Machine* opened = nullptr;

/// The redistributor of the CPU that calls, or null.
PhysAddr FindRedistributor(const Machine& machine) {
  const uint64_t id = KHORIG_READ_REGISTER(mpidr_el1);
  const auto affinity = static_cast<uint32_t>((id & 0xffffff) | (id >> 32 & 0xff) << 24);
  PhysAddr found;
  gic::VisitRedistributors(machine, [&](PhysAddr base) {
    if (ReadMmio32(base + gic::kTypeAffinity) != affinity) return false;
    found = base;
    return true;
  });
  return found;
}

/// Where the CPU that calls has its own interrupts, or null.
PhysAddr OwnInterrupts() {
  if (opened->gic == Machine::Gic::kV2) return opened->gic_distributor.begin;
  const PhysAddr base = FindRedistributor(*opened);
  return base.is_null() ? base : base + kFrame;
}

void ClearPending(PhysAddr own) {
  if (opened->gic == Machine::Gic::kV2) {
    WriteMmio32(own + kClearSent + kWordOffset, kByteMask);
  } else {
    WriteMmio32(own + kClearPending, kInterruptBit);
  }
}

void StartCpuInterface(PhysAddr own) {
  if (opened->gic == Machine::Gic::kV2) {
    WriteMmio32(opened->gic_cpu.begin + kCpuPriorityMask, kPriorityMask);
    WriteMmio32(opened->gic_cpu.begin + kCpuControl, kFirstGroup);
    return;
  }
  const PhysAddr waker = PhysAddr::FromRaw(own.raw() - kFrame + kWaker);
  ClearBits(waker, kAsleep);
  AwaitClear(waker, kChildrenAsleep);
  WriteMmio32(own + kGroup, ReadMmio32(own + kGroup) | kInterruptBit);
  KHORIG_WRITE_REGISTER(icc_pmr_el1, kPriorityMask);
  KHORIG_WRITE_REGISTER(icc_igrpen1_el1, 1);
  InstructionBarrier();
}

void DisableOwn() {
  asm volatile("msr daifset, #0xf" ::: "memory");
  if (opened == nullptr) return;
  const PhysAddr own = OwnInterrupts();
  if (own.is_null()) return;
  WriteMmio32(own + kDisable, kInterruptBit);
  ClearPending(own);
}

}  // namespace

void OpenGic(const Machine& machine) {
  if (machine.gic == Machine::Gic::kNone || !MapDevice(machine.gic_distributor).ok()) return;
  const bool is_v3 = machine.gic == Machine::Gic::kV3;
  if (!MapDevice(is_v3 ? gic::Redistributors(machine) : machine.gic_cpu).ok()) return;
  const PhysAddr control = machine.gic_distributor.begin + kControl;
  if (is_v3) {
    // Affinity routing may only be switched on while the groups are off.
    ClearBits(control, kGroups);
    AwaitClear(control, kWritePending);
    WriteMmio32(control, kByAffinity);
    WriteMmio32(control, kByAffinity | kGroup1);
    AwaitClear(control, kWritePending);
  } else {
    WriteMmio32(control, kFirstGroup);
  }
  opened = &machine;
}

void EnablePanicSgi() {
  if (opened == nullptr) return;
  const PhysAddr own = OwnInterrupts();
  if (own.is_null()) return;
  WriteMmio32(own + kDisable, kInterruptBit);
  ClearPending(own);
  ClearBits(own + kPriority + kWordOffset, kByteMask);
  StartCpuInterface(own);
  WriteMmio32(own + kEnable, kInterruptBit);
  asm volatile("msr daifclr, #2" ::: "memory");
}

void DisablePanicSgi() {
  DisableOwn();
  if (opened != nullptr) gic::StopCpuInterface(*opened);
}

bool EnableTimerLines(const Machine& machine) {
  if (opened == nullptr) OpenGic(machine);
  if (opened == nullptr) return false;
  EnablePanicSgi();
  DisableInterrupts();
  const PhysAddr own = OwnInterrupts();
  if (own.is_null()) return false;
  // As the panic SGI, they have the only priority that is not masked.
  for (unsigned line = 0; line < 32; line += 4) {
    if ((kTimerLines >> line & 0xf) != 0) WriteMmio32(own + kPriority + line, 0);
  }
  if (opened->gic == Machine::Gic::kV3) {
    WriteMmio32(own + kGroup, ReadMmio32(own + kGroup) | kTimerLines);
  }
  WriteMmio32(own + kEnable, kTimerLines);
  return true;
}

void DisableTimerLines() {
  const PhysAddr own = OwnInterrupts();
  if (!own.is_null()) WriteMmio32(own + kDisable, kTimerLines);
}

void SendPanicSgi() {
  if (opened == nullptr) return;
  // They shall see what was written before.
  asm volatile("dsb ish" ::: "memory");
  if (opened->gic == Machine::Gic::kV2) {
    WriteMmio32(opened->gic_distributor.begin + kSend, kToOthers | kInterrupt);
  } else {
    KHORIG_WRITE_REGISTER(icc_sgi1r_el1, kSendToOthers);
    InstructionBarrier();
  }
}

void AcknowledgePanicSgi() {
  if (opened == nullptr) return;
  if (opened->gic == Machine::Gic::kV2) {
    (void)ReadMmio32(opened->gic_cpu.begin + kCpuAcknowledge);
  } else {
    (void)KHORIG_READ_REGISTER(icc_iar1_el1);
  }
}

}  // namespace arch
