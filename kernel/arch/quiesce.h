// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

#include "khocore/types.h"

namespace arch {

// Interrupts and timers at the jump. Called by the only CPU that is left, in this order; each
// `Stop` returns how many it found on. Printing still works afterwards.

/// This CPU takes no interrupts any more.
void DisableInterrupts();
/// Stops and masks all timers.
unsigned StopTimers();
/// Masks every line of every interrupt controller.
unsigned StopInterruptLines();
/// Switches the interrupt controllers off, and with them what delivers MSIs.
unsigned StopInterruptControllers();

/// What `StartInterruptControllers` needs for each CPU and once more, aligned to its size.
inline constexpr uint64_t kInterruptTableBytes = 64 << 10;

// The reverse, for the rig: leaves on what a running Linux would leave to its kexec. Called by the
// CPU that booted, which takes no interrupts.

/// Arms the timers and their interrupts.
void StartTimers();
/// Unmasks every line of every interrupt controller.
void StartInterruptLines();
/// Switches the interrupt controllers on, MSIs included where they have tables in RAM: those lie in
/// `tables`, zeroed RAM, or stay off where it is too small.
void StartInterruptControllers(khocore::PhysRange tables);

}  // namespace arch
