// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/local_apic.h"

#include "kernel/arch/cpu.h"
#include "kernel/arch/mmu.h"
#include "kernel/arch/poll.h"
#include "kernel/arch/x86_64/io.h"

namespace arch {
namespace {

constexpr uint64_t kSpuriousVector = 0xf0;
constexpr uint64_t kCommandLow = 0x300;
constexpr uint64_t kCommandHigh = 0x310;

constexpr uint32_t kSoftwareEnable = 1 << 8;
constexpr uint32_t kLastVector = 0xff;

constexpr uint32_t kNmi = 4 << 8;
constexpr uint32_t kInit = 5 << 8;
constexpr uint32_t kStartup = 6 << 8;
constexpr uint32_t kPending = 1 << 12;
constexpr uint32_t kAssert = 1 << 14;

}  // namespace

bool LocalApic::Open() {
  constexpr uint32_t kCpuidApic = 1 << 9;
  constexpr uint64_t kEnabled = 1 << 11, kX2Apic = 1 << 10, kAddress = 0xffffff000;
  if ((Cpuid(1).edx & kCpuidApic) == 0) return false;
  const uint64_t base = ReadMsr(kMsrApicBase);
  if ((base & kEnabled) == 0 || (base & kX2Apic) != 0) return false;
  base_ = base & kAddress;
  if (!MapDevice({khocore::PhysAddr::FromRaw(base_), khocore::kPageSize}).ok()) return false;
  *Register(kSpuriousVector) = *Register(kSpuriousVector) | kSoftwareEnable | kLastVector;
  return true;
}

void LocalApic::Init(uint8_t apic_id) { Send(apic_id, kInit | kAssert); }

void LocalApic::Startup(uint8_t apic_id, uint8_t page) { Send(apic_id, kStartup | page); }

void LocalApic::Nmi(uint8_t apic_id) { Send(apic_id, kNmi | kAssert); }

void LocalApic::Send(uint8_t apic_id, uint32_t command) {
  *Register(kCommandHigh) = uint32_t{apic_id} << 24;
  *Register(kCommandLow) = command;
  for (unsigned i = 0; i < kMaxPolls && (*Register(kCommandLow) & kPending) != 0; ++i) Pause();
}

}  // namespace arch
