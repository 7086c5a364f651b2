// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "boot/efi/services.h"
#include "kernel/base/boot_info.h"

namespace efi {

/// Turns the pages of RAM that hold tables of the firmware's into reserved regions: tables that
/// Linux reads after the boot services have ended, and that firmware allocates as boot services or
/// loader data (memory attributes, ESRT, runtime properties, RNG seed, TPM event log,
/// reservations). All others lie in memory that the map itself keeps. A piece that finds no room in
/// `info` is counted in `regions_dropped`. Called after `DescribeMemory`.
void KeepTables(const EFI_SYSTEM_TABLE& system, base::BootInfo* info);

/// Gives the firmware's configuration table an empty list of memory reservations, as Linux's EFI
/// stub does, if it has none: a Linux adds to it what devices write to across kernels (the tables
/// of a GICv3), and warns where there is no list. Errors: EFI_OUT_OF_RESOURCES, and what the
/// firmware answers.
EFI_STATUS InstallReservations(const EFI_SYSTEM_TABLE& system);

}  // namespace efi
