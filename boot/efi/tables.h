// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "boot/efi/services.h"
#include "kernel/base/boot_info.h"

namespace efi {

/// Turns the pages of RAM that hold tables of the firmware's into reserved regions: tables that
/// Linux reads after the boot services have ended, and that firmware allocates as boot services or
/// loader data (memory attributes, ESRT, runtime properties, RNG seed, TPM event log). All others
/// lie in memory that the map itself keeps. A piece that finds no room in `info` is counted in
/// `regions_dropped`. Called after `DescribeMemory`.
void KeepTables(const EFI_SYSTEM_TABLE& system, base::BootInfo* info);

}  // namespace efi
