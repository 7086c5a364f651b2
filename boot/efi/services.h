// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// UEFI specification 2.9. GNU-EFI's headers are C and declare no linkage.
extern "C" {
#include <efi.h>
}

#include <stdint.h>

#include "khocore/types.h"

namespace efi {

inline constexpr uint64_t kPageSize = 4096;  ///< of the firmware, on every architecture

/// The name of a status in the specification ("EFI_NOT_FOUND"), or "an unknown error".
const char* StatusName(EFI_STATUS status);

/// Takes `bytes`, rounded up to pages, from the firmware, at a multiple of `alignment` (a power of
/// two, at least a page) and not below `minimum`. They stay the caller's after the boot services
/// have ended. Empty when there is no room.
khocore::PhysRange AllocatePages(EFI_BOOT_SERVICES* services, EFI_MEMORY_TYPE type, uint64_t bytes,
                                 uint64_t alignment = kPageSize, uint64_t minimum = kPageSize);

/// The address of the configuration table `guid`, or null.
const void* FindTable(const EFI_SYSTEM_TABLE& system, const EFI_GUID& guid);

/// Whether the firmware starts only what is signed, by Linux's enum efi_secureboot_mode: 1 unknown,
/// 2 no, 3 yes.
uint8_t SecureBootMode(const EFI_SYSTEM_TABLE& system);

}  // namespace efi
