// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/gic.h"
#include "kernel/arch/arm64/gic_registers.h"
#include "kernel/arch/arm64/registers.h"
#include "kernel/arch/mmu.h"
#include "kernel/arch/quiesce.h"

namespace arch {

using gic::AwaitClear;
using gic::ClearBits;
using gic::kControl;
using gic::kFrame;
using gic::VisitRedistributors;
using khocore::PhysAddr;
using khocore::PhysRange;

namespace {

constexpr uint64_t kDistributorType = 4;
constexpr uint32_t kLinesMask = 0x1f;  // of its type: words of 32 interrupts after the first

// Redistributor.
constexpr uint32_t kHasLpis = 1 << 0;  // of its type
constexpr uint32_t kLpisOn = 1 << 0;   // of its control
constexpr uint32_t kRedistPending = 1 << 3;
constexpr uint64_t kPropertiesBase = 0x70;
constexpr uint64_t kPendingBase = 0x78;
constexpr uint64_t kIdBits = 13;  // 14 of them, the fewest that there may be
// The alignment of a pending table; the configuration table takes less.
constexpr uint64_t kTableBytes = 64 << 10;
constexpr uint64_t kCached = 7 << 7 | 1 << 10;  // write-back, inner shareable

// ITS.
constexpr uint32_t kItsOn = 1 << 0;
constexpr uint32_t kItsQuiescent = uint32_t{1} << 31;
constexpr uint64_t kCommandsBase = 0x80;
constexpr uint64_t kCommandsWritten = 0x88;
constexpr uint64_t kCommandsValid = uint64_t{1} << 63;
constexpr uint64_t kCommandsCached = uint64_t{7} << 59 | 1 << 10;

/// The registers of 64 bits allow two accesses.
void Write64(PhysAddr address, uint64_t value) {
  WriteMmio32(address, static_cast<uint32_t>(value));
  WriteMmio32(address + 4, static_cast<uint32_t>(value >> 32));
}

/// False when there is none that can be used.
bool Map(const Machine& machine) {
  if (machine.gic == Machine::Gic::kNone || !MapDevice(machine.gic_distributor).ok()) return false;
  const bool is_v3 = machine.gic == Machine::Gic::kV3;
  if (!MapDevice(is_v3 ? gic::Redistributors(machine) : machine.gic_cpu).ok()) return false;
  for (size_t i = 0; i < machine.its_count; ++i) {
    if (!MapDevice(machine.its[i]).ok()) return false;
  }
  return true;
}

/// Calls `visit` for each group of 32 interrupts, with the address from which the offsets of its
/// registers count.
template <typename Visit>
void VisitWords(const Machine& machine, Visit visit) {
  const bool is_v3 = machine.gic == Machine::Gic::kV3;
  const PhysAddr distributor = machine.gic_distributor.begin;
  if (is_v3) {
    VisitRedistributors(machine, [&](PhysAddr base) {
      visit(base + kFrame);
      return false;
    });
  }
  const uint32_t last = ReadMmio32(distributor + kDistributorType) & kLinesMask;
  for (uint32_t word = is_v3 ? 1 : 0; word <= last; ++word) visit(distributor + uint64_t{4} * word);
}

bool StopIts(PhysAddr its) {
  const bool on = ClearBits(its + kControl, kItsOn);
  for (unsigned i = 0; i < gic::kPollLimit; ++i) {
    if ((ReadMmio32(its + kControl) & kItsQuiescent) != 0) break;
    Pause();
  }
  return on;
}

void StartIts(PhysAddr its, PhysAddr commands) {
  (void)StopIts(its);
  Write64(its + kCommandsBase, kCommandsValid | kCommandsCached | commands.raw());
  Write64(its + kCommandsWritten, 0);
  WriteMmio32(its + kControl, kItsOn);
}

bool StopLpis(PhysAddr redistributor) {
  if ((ReadMmio32(redistributor + gic::kTypeLow) & kHasLpis) == 0) return false;
  const bool on = ClearBits(redistributor + kControl, kLpisOn);
  AwaitClear(redistributor + kControl, kRedistPending);
  return on;
}

void StartLpis(PhysAddr redistributor, PhysAddr properties, PhysAddr pending) {
  if ((ReadMmio32(redistributor + gic::kTypeLow) & kHasLpis) == 0) return;
  // Tables of a kernel before cannot be changed while they are in use.
  if ((ReadMmio32(redistributor + kControl) & kLpisOn) != 0) return;
  Write64(redistributor + kPropertiesBase, properties.raw() | kCached | kIdBits);
  Write64(redistributor + kPendingBase, pending.raw() | kCached);
  WriteMmio32(redistributor + kControl, kLpisOn);
}

}  // namespace

bool gic::StopCpuInterface(const Machine& machine) {
  if (machine.gic == Machine::Gic::kV2) {
    return ClearBits(machine.gic_cpu.begin + kCpuControl, kGroups);
  }
  const bool on = (KHORIG_READ_REGISTER(icc_igrpen1_el1) & 1) != 0;
  KHORIG_WRITE_REGISTER(icc_igrpen1_el1, 0);
  InstructionBarrier();
  return on;
}

unsigned MaskGic(const Machine& machine) {
  if (!Map(machine)) return 0;
  unsigned enabled = 0;
  VisitWords(machine, [&](PhysAddr word) {
    const uint32_t lines = ReadMmio32(word + gic::kEnable);
    WriteMmio32(word + gic::kDisable, lines);
    WriteMmio32(word + gic::kClearPending, ~uint32_t{0});
    enabled += static_cast<unsigned>(__builtin_popcount(lines));
  });
  return enabled;
}

unsigned StopGic(const Machine& machine) {
  if (!Map(machine)) return 0;
  unsigned on = 0;
  // An ITS writes to the pending tables of LPIs, so it goes first.
  for (size_t i = 0; i < machine.its_count; ++i) on += StopIts(machine.its[i].begin) ? 1 : 0;
  if (machine.gic == Machine::Gic::kV3) {
    VisitRedistributors(machine, [&](PhysAddr base) {
      on += StopLpis(base) ? 1 : 0;
      return false;
    });
  }
  on += gic::StopCpuInterface(machine) ? 1 : 0;
  const PhysAddr control = machine.gic_distributor.begin + kControl;
  on += ClearBits(control, gic::kGroups) ? 1 : 0;
  if (machine.gic == Machine::Gic::kV3) AwaitClear(control, gic::kWritePending);
  return on;
}

void UnmaskGic(const Machine& machine) {
  if (!Map(machine)) return;
  VisitWords(machine, [](PhysAddr word) { WriteMmio32(word + gic::kEnable, ~uint32_t{0}); });
}

uint64_t GicTableBytes(const Machine& machine, size_t cpus) {
  return machine.gic == Machine::Gic::kV3 ? (cpus + 1) * kTableBytes : 0;
}

void StartGic(const Machine& machine, PhysRange tables) {
  OpenGic(machine);
  EnablePanicSgi();
  DisableInterrupts();
  if (machine.gic != Machine::Gic::kV3 || !Map(machine)) return;
  // First what all CPUs share, then the pending table of each.
  uint64_t used = kTableBytes;
  VisitRedistributors(machine, [&](PhysAddr base) {
    if (used + kTableBytes > tables.size) return true;
    StartLpis(base, tables.begin, tables.begin + used);
    used += kTableBytes;
    return false;
  });
  const PhysAddr commands = tables.begin + kTableBytes / 2;
  if (tables.size == 0) return;
  for (size_t i = 0; i < machine.its_count; ++i) StartIts(machine.its[i].begin, commands);
}

}  // namespace arch
