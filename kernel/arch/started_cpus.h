// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/arch/cpus.h"
#include "khocore/types.h"

namespace arch {

/// Secondary bring-up, shared by the architectures: which CPUs are online, and their stacks.
class StartedCpus {
 public:
  void SetStack(size_t number, khocore::PhysRange stack) { stacks_[number] = stack; }

  /// Called by the CPU that comes online. False when it is too late.
  bool Arrive(size_t number) { return Decide(number, kArrived); }

  /// Waits until the CPU is online; false after `nanoseconds`.
  bool Await(size_t number, uint64_t nanoseconds) const;

  /// Abandons the CPU. False when it came online meanwhile.
  bool GiveUp(size_t number) { return Decide(number, kGivenUp); }

  /// The stack that `address` lies in, the first CPU's included; empty when it lies in none.
  khocore::PhysRange StackAround(uint64_t address) const;

 private:
  using Arrival = uint8_t;
  static constexpr Arrival kAwaited = 0, kArrived = 1, kGivenUp = 2;

  /// Whether the arrival becomes `next`; it changes once.
  bool Decide(size_t number, Arrival next);

  khocore::PhysRange stacks_[kMaxCpus] = {};
  Arrival arrivals_[kMaxCpus] = {};
};

}  // namespace arch
