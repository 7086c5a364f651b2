// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/quiesce.h"

#include "kernel/arch/cpu.h"

namespace arch {

// A process has no interrupt controllers of its own.
void DisableInterrupts() {}
unsigned StopTimers() { return 0; }
unsigned StopInterruptLines() { return 0; }
unsigned StopInterruptControllers() { return 0; }
void Sleep(uint64_t nanoseconds) {
  const uint64_t started = Counter();
  while (Counter() - started < nanoseconds) Pause();
}
void StartTimers() {}
void StartInterruptLines() {}
uint64_t InterruptTableBytes(size_t) { return 0; }
void StartInterruptControllers(khocore::PhysRange) {}

}  // namespace arch
