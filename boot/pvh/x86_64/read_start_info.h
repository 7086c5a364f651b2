// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/boot_info.h"
#include "kernel/base/boot_reader.h"

namespace boot {

/// Fills `info` from the hvm_start_info at `address` (Xen's public/arch-x86/hvm/start_info.h), all
/// of it untrusted: what cannot be read is left out and reported to `reader`. False when it is no
/// hvm_start_info with a memory map.
bool ReadStartInfo(uint64_t address, const base::BootReader& reader, base::BootInfo* info);

}  // namespace boot
