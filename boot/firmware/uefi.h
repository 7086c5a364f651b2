// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/base/boot_info.h"
#include "kernel/base/boot_reader.h"
#include "khocore/types.h"

/// What UEFI firmware leaves in memory (UEFI specification 2.10, 4 and 7.2), as every kernel of a
/// chain finds it. All of it is untrusted.

namespace boot {

/// EFI_MEMORY_DESCRIPTOR. Those of a map are `base::Firmware::descriptor_size` apart.
struct UefiDescriptor {
  uint32_t type;
  uint32_t padding;
  uint64_t physical;
  uint64_t virtual_address;  ///< what the firmware's own pointers are, once it was told
  uint64_t pages;            ///< of 4 KiB
  uint64_t attributes;

  /// Memory that the firmware needs when a kernel calls it.
  bool IsRuntime() const { return attributes >> 63 != 0; }
};
static_assert(sizeof(UefiDescriptor) == 40);

/// Descriptor `index` of a map that can be read at `map`. False behind its end.
bool ReadDescriptor(const base::Firmware& firmware, const void* map, uint64_t index,
                    UefiDescriptor* descriptor);

/// Takes from RAM what `info->firmware` says is in use: its runtime services, what its map says is
/// not to be used, and tables (`KeepTables`). The map itself is kept, for the next kernel. `ram`
/// reads RAM alone, `firmware` whatever it is asked for. A map that cannot be read, or that does
/// not fit to a system table, is reported, and `info->firmware` empty afterwards: the next kernel
/// is told of no firmware. A kernel that knows no UEFI hands its properties on and keeps no memory.
void TakeFirmware(const base::BootReader& ram, const base::BootReader& firmware,
                  base::BootInfo* info);

/// Turns the pages of RAM that hold tables of the firmware's into reserved regions: tables that
/// Linux reads after the boot services have ended, and that firmware or Linux's EFI stub allocate
/// as boot services or loader data (memory attributes, ESRT, runtime properties, RNG seed, TPM
/// event log, memory reservations). All others lie in memory that the map itself keeps. `array` is
/// the address of `count` entries of the configuration table.
void KeepTables(khocore::PhysAddr array, uint64_t count, const base::BootReader& firmware,
                base::BootInfo* info);

}  // namespace boot
