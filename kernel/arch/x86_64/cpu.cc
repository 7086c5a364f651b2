// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/cpu.h"

namespace arch {

const char kName[] = "x86_64";
const uint64_t kFirstUsable = 1 << 20;

/// The time stamp counter. Under QEMU's `-icount shift=0` it counts one per instruction, which is
/// one nanosecond of virtual time; without `-icount` it is the host's own counter.
uint64_t Counter() {
  uint32_t low, high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
  return uint64_t{high} << 32 | low;
}

void Pause() { asm volatile("pause" : : : "memory"); }

void Halt() {
  for (;;) asm volatile("cli; hlt" : : : "memory");
}

}  // namespace arch
