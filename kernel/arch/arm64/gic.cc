// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/gic.h"

#include "kernel/arch/arm64/mmio.h"
#include "kernel/arch/arm64/registers.h"
#include "kernel/arch/cpu.h"
#include "kernel/arch/cpus.h"
#include "kernel/arch/mmu.h"

// Arm GIC architecture 2.0 (IHI 0048) and 3 (IHI 0069).

namespace arch {

using khocore::PhysAddr;
using khocore::PhysRange;

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
constexpr uint64_t kControl = 0;
constexpr uint32_t kGroups = 7;       // the enable bits of version 3; version 2 has the first two
constexpr uint32_t kFirstGroup = 1;   // version 2
constexpr uint32_t kGroup1 = 1 << 1;  // version 3, of non-secure software
constexpr uint32_t kByAffinity = 1 << 4;  // version 3
constexpr uint32_t kWritePending = uint32_t{1} << 31;
constexpr uint64_t kSend = 0xf00;       // version 2
constexpr uint64_t kClearSent = 0xf10;  // version 2: a byte for each interrupt
constexpr uint32_t kToOthers = 1 << 24;

// A CPU's own interrupts: in the distributor of version 2, in the redistributor of version 3.
constexpr uint64_t kGroup = 0x80;
constexpr uint64_t kEnable = 0x100;
constexpr uint64_t kDisable = 0x180;
constexpr uint64_t kClearPending = 0x280;
constexpr uint64_t kPriority = 0x400;  // a byte for each

// CPU interface of version 2.
constexpr uint64_t kCpuControl = 0;
constexpr uint64_t kCpuPriorityMask = 4;
constexpr uint64_t kCpuAcknowledge = 0xc;

// Redistributor.
constexpr uint64_t kTypeLow = 8;
constexpr uint64_t kTypeAffinity = 0xc;
constexpr uint32_t kHasVirtual = 1 << 1;
constexpr uint32_t kIsLast = 1 << 4;
constexpr uint64_t kWaker = 0x14;
constexpr uint32_t kAsleep = 1 << 1;
constexpr uint32_t kChildrenAsleep = 1 << 2;
constexpr uint64_t kFrame = 64 << 10;  // a CPU has two, or four with virtual interrupts
constexpr uint64_t kMostRedistributors = kMaxCpus * 4 * kFrame;

constexpr uint64_t kSendToOthers = uint64_t{1} << 40 | kInterrupt << 24;  // ICC_SGI1R_EL1

constexpr unsigned kPollLimit = 1'000'000;

const Machine* opened = nullptr;

PhysRange Redistributors(const Machine& machine) {
  const PhysRange all = machine.gic_redistributors;
  return {all.begin, all.size < kMostRedistributors ? all.size : kMostRedistributors};
}

/// Clears `bits` in a register; whether one was set.
bool ClearBits(PhysAddr address, uint32_t bits) {
  const uint32_t value = ReadMmio32(address);
  WriteMmio32(address, value & ~bits);
  return (value & bits) != 0;
}

/// Waits until `bits` of the register are clear, but not forever.
void AwaitClear(PhysAddr address, uint32_t bits) {
  for (unsigned i = 0; i < kPollLimit && (ReadMmio32(address) & bits) != 0; ++i) Pause();
}

/// The redistributor of the CPU that calls, or null.
PhysAddr FindRedistributor(const Machine& machine) {
  const uint64_t id = KHORIG_READ_REGISTER(mpidr_el1);
  const auto affinity = static_cast<uint32_t>((id & 0xffffff) | (id >> 32 & 0xff) << 24);
  const PhysRange all = Redistributors(machine);
  for (uint64_t at = 0; at + 2 * kFrame <= all.size;) {
    const PhysAddr base = all.begin + at;
    if (ReadMmio32(base + kTypeAffinity) == affinity) return base;
    const uint32_t type = ReadMmio32(base + kTypeLow);
    if ((type & kIsLast) != 0) break;
    at += ((type & kHasVirtual) != 0 ? 4 : 2) * kFrame;
  }
  return {};
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

/// Whether it was on. The boot protocol promises system registers where there is a version 3.
bool StopCpuInterface(const Machine& machine) {
  if (machine.gic == Machine::Gic::kV2) {
    return ClearBits(machine.gic_cpu.begin + kCpuControl, kGroups);
  }
  const bool on = (KHORIG_READ_REGISTER(icc_igrpen1_el1) & 1) != 0;
  KHORIG_WRITE_REGISTER(icc_igrpen1_el1, 0);
  InstructionBarrier();
  return on;
}

}  // namespace

void OpenGic(const Machine& machine) {
  if (machine.gic == Machine::Gic::kNone || !MapDevice(machine.gic_distributor).ok()) return;
  const bool is_v3 = machine.gic == Machine::Gic::kV3;
  if (!MapDevice(is_v3 ? Redistributors(machine) : machine.gic_cpu).ok()) return;
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
  if (opened != nullptr) StopCpuInterface(*opened);
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

unsigned StopGic(const Machine& machine) {
  DisableOwn();
  if (machine.gic == Machine::Gic::kNone || !MapDevice(machine.gic_distributor).ok()) return 0;
  const bool has_interface = machine.gic == Machine::Gic::kV3 || MapDevice(machine.gic_cpu).ok();
  const unsigned interfaces = has_interface && StopCpuInterface(machine) ? 1 : 0;
  const PhysAddr control = machine.gic_distributor.begin + kControl;
  const unsigned distributors = ClearBits(control, kGroups) ? 1 : 0;
  if (machine.gic == Machine::Gic::kV3) AwaitClear(control, kWritePending);
  return interfaces + distributors;
}

}  // namespace arch
