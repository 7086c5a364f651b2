// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Counts executed instructions without a call per block. API version 1 adds to one number, which
// loses updates when CPUs run on several threads; version 2 replaced that by a number for each CPU.

#include <cstdint>

#include "qemu/probe/qemu_api.h"

namespace probe {

/// Once, at the start.
void StartCounter();

/// In the translation of `tb`: counts its instructions each time it is executed.
void CountInstructions(qemu_plugin_tb* tb);

/// Instructions of all CPUs so far, up to and including the running block.
uint64_t InstructionCount();

}  // namespace probe
