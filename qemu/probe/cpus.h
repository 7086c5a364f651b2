// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace probe {

/// The number of the CPU that runs a callback, which was `told` a number. Where CPUs share a thread
/// (-icount), QEMU 10.0 and 11.1 tell the CPU that translated the block; QEMU's own variable has
/// the right one. `told` where QEMU does not export it.
uint32_t RunningCpu(uint32_t told);

}  // namespace probe
