// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/started_cpus.h"

#include "kernel/arch/cpu.h"
#include "kernel/arch/cpu_stacks.h"
#include "kernel/arch/mmu.h"

// kernel.lds.S, start.S
extern "C" const uint8_t __stack_guard[], __stack_begin[], __stack_end[];

namespace arch {

using khocore::PhysAddr;
using khocore::PhysRange;

bool StartedCpus::Await(size_t number, uint64_t nanoseconds) const {
  const uint64_t begin = Counter();
  while (__atomic_load_n(&states_[number], __ATOMIC_ACQUIRE) != kOnline) {
    if (Counter() - begin > nanoseconds) return false;
    Pause();
  }
  return true;
}

PhysRange StartedCpus::StackAround(uint64_t address) const {
  const uint64_t begin = reinterpret_cast<uint64_t>(__stack_begin);
  const PhysRange first{PhysAddr::FromRaw(begin), reinterpret_cast<uint64_t>(__stack_end) - begin};
  if (first.Contains({PhysAddr::FromRaw(address), 1})) return first;
  for (const PhysRange& stack : stacks_) {
    if (stack.size != 0 && stack.Contains({PhysAddr::FromRaw(address), 1})) return stack;
  }
  return {};
}

bool StartedCpus::Transition(size_t number, State next) {
  State awaited = kAwaited;
  return __atomic_compare_exchange_n(&states_[number], &awaited, next, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE);
}

bool IsStackGuard(uint64_t address) {
  const uint64_t first = reinterpret_cast<uint64_t>(__stack_guard);
  return address - first < reinterpret_cast<uint64_t>(__stack_begin) - first ||
         IsBelowCpuStack(kImageBase, address);
}

}  // namespace arch
