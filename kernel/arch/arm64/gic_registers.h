// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/arm64/machine.h"
#include "kernel/arch/arm64/mmio.h"
#include "kernel/arch/cpu.h"
#include "kernel/arch/cpus.h"
#include "khocore/types.h"

// Arm GIC architecture 2.0 (IHI 0048) and 3 (IHI 0069): what gic.cc and gic_quiesce.cc share.

namespace arch::gic {

// Distributor.
inline constexpr uint64_t kControl = 0;
inline constexpr uint32_t kGroups = 7;  ///< the enable bits of version 3; version 2 has two of them
inline constexpr uint32_t kFirstGroup = 1;       ///< version 2
inline constexpr uint32_t kGroup1 = 1 << 1;      ///< version 3, of non-secure software
inline constexpr uint32_t kByAffinity = 1 << 4;  ///< version 3
inline constexpr uint32_t kWritePending = uint32_t{1} << 31;

// In the distributor a bit for each interrupt. A CPU's own 32: in the first words of version 2, in
// the redistributor of version 3.
inline constexpr uint64_t kEnable = 0x100;
inline constexpr uint64_t kDisable = 0x180;
inline constexpr uint64_t kClearPending = 0x280;

// CPU interface of version 2.
inline constexpr uint64_t kCpuControl = 0;

// Redistributor.
inline constexpr uint64_t kTypeLow = 8;
inline constexpr uint64_t kTypeAffinity = 0xc;
inline constexpr uint32_t kHasVirtual = 1 << 1;
inline constexpr uint32_t kIsLast = 1 << 4;
inline constexpr uint64_t kFrame = 64 << 10;  ///< a CPU has two, or four with virtual interrupts
inline constexpr uint64_t kMaxRedistributors = kMaxCpus * 4 * kFrame;

inline constexpr unsigned kPollLimit = 1'000'000;

/// Clears `bits` in a register; whether one was set.
inline bool ClearBits(khocore::PhysAddr address, uint32_t bits) {
  const uint32_t value = ReadMmio32(address);
  WriteMmio32(address, value & ~bits);
  return (value & bits) != 0;
}

/// Waits until `bits` of the register are clear, but not forever.
inline void AwaitClear(khocore::PhysAddr address, uint32_t bits) {
  for (unsigned i = 0; i < kPollLimit && (ReadMmio32(address) & bits) != 0; ++i) Pause();
}

/// Version 3: the registers of all redistributors, mapped or not.
inline khocore::PhysRange Redistributors(const Machine& machine) {
  const khocore::PhysRange all = machine.gic_redistributors;
  return {all.begin, all.size < kMaxRedistributors ? all.size : kMaxRedistributors};
}

/// Version 3: calls `visit` with the first frame of each CPU's redistributor, until it returns
/// true.
template <typename Visit>
void VisitRedistributors(const Machine& machine, Visit visit) {
  const khocore::PhysRange all = Redistributors(machine);
  for (uint64_t at = 0; at + 2 * kFrame <= all.size;) {
    const khocore::PhysAddr base = all.begin + at;
    const uint32_t type = ReadMmio32(base + kTypeLow);
    if (visit(base) || (type & kIsLast) != 0) return;
    at += ((type & kHasVirtual) != 0 ? 4 : 2) * kFrame;
  }
}

/// Switches this CPU's interface off; whether it was on. The boot protocol promises system
/// registers where there is a version 3.
bool StopCpuInterface(const Machine& machine);

}  // namespace arch::gic
