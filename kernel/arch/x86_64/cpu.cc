// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/cpu.h"

#include "kernel/arch/nanoseconds.h"
#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/tsc.h"

namespace arch {

const char kName[] = "x86_64";
const uint64_t kFirstUsable = 1 << 20;

/// The time stamp counter. Under QEMU's `-icount` it counts the nanoseconds of virtual time.
uint64_t Counter() {
  static uint64_t frequency = 0;
  if (frequency == 0) frequency = TscFrequency([](uint32_t leaf) { return Cpuid(leaf); });
  uint32_t low, high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
  return NanosecondsOf(uint64_t{high} << 32 | low, frequency);
}

void Pause() { asm volatile("pause" : : : "memory"); }

void Halt() {
  for (;;) asm volatile("cli; hlt" : : : "memory");
}

}  // namespace arch
