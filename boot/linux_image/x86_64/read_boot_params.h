// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "boot/linux_image/x86_64/boot_params.h"
#include "kernel/base/boot_info.h"
#include "kernel/base/boot_reader.h"

namespace boot {

/// Fills `info` (memory map, command line, initrd, RSDP, handover, memory to keep) from the
/// boot_params at `address`. All of it is untrusted: what lies outside RAM or makes no sense is
/// left out of `info` and reported to `reader`.
void ReadBootParams(const boot::BootParams& params, uint64_t address,
                    const base::BootReader& reader, base::BootInfo* info);

/// Whether `range` is in known RAM; or, while the e820 table is full, not known to be anything
/// else, as SETUP_E820_EXT may lie in RAM that it alone describes.
bool MayBeRam(const base::BootInfo& info, khocore::PhysRange range);

}  // namespace boot
