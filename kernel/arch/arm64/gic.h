// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/arm64/machine.h"

namespace arch {

/// The interrupt controller, for the one interrupt that the kernel takes: with it a CPU that panics
/// stops the others. A machine whose controller cannot be used does without.

/// Opens the controller of `machine`, which outlives its use. Called once, by the CPU that booted,
/// before any of the following; without it they do nothing.
void OpenGic(const Machine& machine);

/// Lets the interrupt come to the CPU that calls, at any time from now on.
void AdmitInterrupt();
/// The CPU that calls takes no interrupt any more, and none that comes is kept for it.
void RefuseInterrupts();

/// Interrupts every other CPU that has admitted it.
void InterruptOthers();
/// Takes the interrupt that has come, so that it does not come again.
void AcknowledgeInterrupt();

/// Stops the controller, opened or not, on the only CPU that is left. Returns how many of
/// distributor and CPU interface were on.
unsigned StopGic(const Machine& machine);

}  // namespace arch
