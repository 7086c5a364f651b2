// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/arm64/machine.h"

namespace arch {

/// The interrupt controller, for the one interrupt that the kernel takes: with it a CPU that panics
/// stops the others. A machine whose controller cannot be used does without.

/// Opens the controller of `machine`, which outlives its use. Called once, by the CPU that booted,
/// before any of the following; without it they do nothing.
void OpenGic(const Machine& machine);

/// Enables the panic SGI on this CPU.
void AdmitInterrupt();
/// Disables and clears it on this CPU.
void RefuseInterrupts();

/// Interrupts every other CPU that has admitted it.
void InterruptOthers();
/// Acknowledges the SGI, so that it is not taken again.
void AcknowledgeInterrupt();

/// Stops the controller, opened or not, on the only CPU that is left. Returns how many of
/// distributor and CPU interface were on.
unsigned StopGic(const Machine& machine);

}  // namespace arch
