// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/arm64/machine.h"

namespace arch {

/// The interrupt controller, for the only interrupt that the kernel takes: the SGI by which a
/// panicking CPU stops the others. Where the controller cannot be used, the others poll.

/// Opens the controller of `machine`, which outlives its use. Called once, by the CPU that booted,
/// before any of the following; without it they do nothing.
void OpenGic(const Machine& machine);

/// Enables the panic SGI on this CPU.
void EnablePanicSgi();
/// Disables and clears it on this CPU.
void DisablePanicSgi();

/// Sends it to every other CPU; those that have enabled it take it.
void SendPanicSgi();
/// Acknowledges the SGI, so that it is not taken again.
void AcknowledgePanicSgi();

/// Lets the generic timers' interrupts end a `wfi` of this CPU, which takes no interrupts. False
/// where the controller cannot be used.
bool EnableTimerLines(const Machine& machine);
/// Disables them again, after `EnableTimerLines` returned true.
void DisableTimerLines();

// At the jump, opened or not, on the only CPU that is left (kernel/arch/quiesce.h).

/// Disables every SPI, and every SGI and PPI of each CPU. Returns how many were enabled.
unsigned MaskGic(const Machine& machine);
/// Stops each ITS, the LPIs of each CPU, the distributor and this CPU's interface. Returns how many
/// of them were on.
unsigned StopGic(const Machine& machine);

/// Bytes that the tables of LPIs of so many CPUs take; 0 before version 3.
uint64_t GicTableBytes(const Machine& machine, size_t cpus);

/// The reverse of `MaskGic` and `StopGic`. Version 3: the tables of LPIs lie in `tables`.
void UnmaskGic(const Machine& machine);
void StartGic(const Machine& machine, khocore::PhysRange tables);

}  // namespace arch
