// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/cpu.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>

namespace arch {

const char kName[] = "host";
const uint64_t kFirstUsable = 0;

/// Nanoseconds of the host's monotonic clock; nothing here counts instructions.
uint64_t Counter() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

void Pause() { sched_yield(); }

void Halt() { abort(); }

}  // namespace arch
