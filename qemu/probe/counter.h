// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Counts executed instructions, with a call for each block. QEMU's own counters corrupt the guest:
// in QEMU 10.0 and 11.1, where CPUs share a thread (-icount), the address of a CPU's counter is
// computed in place of the constant that is the CPU's number, and the guest's instructions in that
// block compute with it. On CPU 1 each 1 is an 8.

#include <cstdint>

#include "qemu/probe/qemu_api.h"

namespace probe {

/// In the translation of `tb`: counts its instructions each time it is executed.
void CountInstructions(qemu_plugin_tb* tb);

/// Instructions of all CPUs so far, up to and including the running block.
uint64_t InstructionCount();

}  // namespace probe
