// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace arch {

/// "x86_64", "arm64" or "host".
extern const char kName[];

/// RAM below this is left to firmware and start-up code (1 MiB on x86_64, 0 elsewhere).
extern const uint64_t kFirstUsable;

/// Virtual time in nanoseconds since reset, as the CPU counts it. Under QEMU's `-icount shift=0`
/// one unit is one instruction of the guest (on arm64 with the grain of the generic timer). Where
/// an x86 CPU does not name the frequency of its counter, and QEMU runs without `-icount`, the unit
/// is one tick of the host's.
uint64_t Counter();
/// A hint for polling loops.
void Pause();
/// Stops this CPU with interrupts off.
[[noreturn]] void Halt();

}  // namespace arch
