// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/x86_64/boot_params.h"
#include "kernel/arch/x86_64/boot_reader.h"
#include "kernel/base/boot_info.h"

namespace boot {

/// Fills `info` (memory map, command line, initrd, RSDP, handover, memory to keep) from the
/// boot_params at `address`. All of it is untrusted: what lies outside RAM or makes no sense is
/// left out of `info`, and `reader` is told.
void ReadBootParams(const arch::BootParams& params, uint64_t address,
                    const arch::BootReader& reader, BootInfo* info);

}  // namespace boot
