// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/arch/x86_64/io.h"
#include "khocore/function_ref.h"

namespace arch {

/// How often a second the time stamp counter counts, as `cpuid` says: by the hypervisor's leaf of
/// frequencies, or by the crystal's and the processor's (Intel SDM volume 3, 19.7.3). A CPU without
/// any of them is taken for QEMU's with `-icount`, whose counter is virtual time: 1 GHz.
uint64_t TscFrequency(khocore::FunctionRef<CpuidResult(uint32_t leaf)> cpuid);

}  // namespace arch
