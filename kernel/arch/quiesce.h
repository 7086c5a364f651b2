// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

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

// After the jump.

/// Lets this much virtual time pass with this CPU idle, which costs next to no time where QEMU
/// skips it. Called by the CPU that booted, which takes no interrupts; masks every interrupt line.
void Sleep(uint64_t nanoseconds);

// The reverse, for the rig: leaves on what a running Linux would leave to its kexec. Called by the
// CPU that booted, which takes no interrupts.

/// Arms the timers and their interrupts.
void StartTimers();
/// Unmasks every line of every interrupt controller.
void StartInterruptLines();
/// Bytes of RAM, at an address aligned to as many, for the tables of the interrupt controllers of
/// so many CPUs. 0 where they have none in RAM.
uint64_t InterruptTableBytes(size_t cpus);
/// Switches the interrupt controllers on, MSIs included where they have tables in RAM: those lie in
/// `tables`, zeroed RAM, or stay off where it is too small.
void StartInterruptControllers(khocore::PhysRange tables);

}  // namespace arch
