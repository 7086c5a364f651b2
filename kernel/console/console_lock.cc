// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/console/console_lock.h"

#include <stdint.h>

#include "kernel/arch/cpu.h"
#include "kernel/arch/cpus.h"
#include "kernel/base/panic.h"

namespace console {
namespace {

using base::IsPanicking;
using base::StopIfPanicking;

constexpr uint64_t kNobody = 0;
constexpr unsigned kMaxPolls = 1 << 16;  ///< before a panicking CPU steals the lock

uint64_t owner = kNobody;  ///< the CPU's number and 1
unsigned depth = 0;        ///< the owner's business

}  // namespace

ConsoleLock::ConsoleLock() {
  const uint64_t self = arch::CpuNumber() + 1;
  if (__atomic_load_n(&owner, __ATOMIC_RELAXED) != self) {
    uint64_t nobody = kNobody;
    for (unsigned i = 0; !__atomic_compare_exchange_n(&owner, &nobody, self, false,
                                                      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
         nobody = kNobody) {
      StopIfPanicking();
      if (IsPanicking() && ++i == kMaxPolls) {
        __atomic_store_n(&owner, self, __ATOMIC_RELAXED);
        depth = 0;
        break;
      }
      arch::Pause();
    }
  }
  ++depth;
}

ConsoleLock::~ConsoleLock() {
  if (--depth == 0) __atomic_store_n(&owner, kNobody, __ATOMIC_RELEASE);
}

}  // namespace console
