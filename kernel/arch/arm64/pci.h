// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/arm64/machine.h"

namespace arch {

/// Takes bus mastering from every PCI function, so that none can write to memory. Returns how many
/// had it. Functions behind a bridge that nobody has configured cannot be reached, nor reach
/// memory.
unsigned StopPciBusMastering(const Machine& machine);

}  // namespace arch
