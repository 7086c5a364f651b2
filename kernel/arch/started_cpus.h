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
  /// `stack` is a virtual range.
  void SetStack(size_t number, khocore::PhysRange stack) { stacks_[number] = stack; }

  /// Called by the CPU itself. False when it was abandoned before.
  bool MarkOnline(size_t number) { return Transition(number, kOnline); }

  /// Waits until the CPU is online; false after `nanoseconds`.
  bool Await(size_t number, uint64_t nanoseconds) const;

  bool IsOnline(size_t number) const {
    return __atomic_load_n(&states_[number], __ATOMIC_ACQUIRE) == kOnline;
  }

  /// False when the CPU is online by now.
  bool Abandon(size_t number) { return Transition(number, kAbandoned); }

  /// The stack that `address` lies in, the first CPU's included; empty when it lies in none.
  khocore::PhysRange StackAround(uint64_t address) const;

 private:
  using State = uint8_t;
  static constexpr State kAwaited = 0, kOnline = 1, kAbandoned = 2;

  /// Leaves `kAwaited` for `next`. False when the CPU has left it before.
  bool Transition(size_t number, State next);

  khocore::PhysRange stacks_[kMaxCpus] = {};
  State states_[kMaxCpus] = {};
};

/// Whether `address` lies where a stack would go on if it were larger: in the unmapped pages below
/// that of the first CPU or of any other.
bool IsStackGuard(uint64_t address);

}  // namespace arch
