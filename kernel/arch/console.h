// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace arch {

// The serial port, polled. Usable from the first line of C++ on.

/// Writes one byte; waits for room, but not forever, so that a dead port cannot hang the kernel.
void ConsolePut(char byte);
/// Reads one byte if there is one.
bool ConsoleTryGet(char* byte);

/// Whether the port asserts its interrupt, a level.
bool ConsoleInterrupts();
/// Deasserts and disables it; 1 when it was enabled.
unsigned StopConsoleInterrupt();
/// The reverse, for the rig: interrupts while there is room for a byte, that is from now on.
void StartConsoleInterrupt();

}  // namespace arch
