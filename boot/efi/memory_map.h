// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "boot/efi/services.h"
#include "kernel/base/boot_info.h"
#include "khocore/types.h"

namespace efi {

/// The firmware's memory map in a buffer of the caller's.
struct MemoryMap {
  khocore::Span<uint8_t> buffer;
  size_t bytes = 0;            ///< of the buffer in use
  size_t descriptor_size = 0;  ///< may be more than sizeof(EFI_MEMORY_DESCRIPTOR)
  uint32_t version = 0;
};

/// Takes a buffer with room for the map as it is now and `kSpareDescriptors` more: taking it
/// changes the map, and so does every driver with a handler for the end of the boot services.
/// Errors: EFI_OUT_OF_RESOURCES, and what the firmware answers.
inline constexpr size_t kSpareDescriptors = 64;
EFI_STATUS AllocateMap(EFI_BOOT_SERVICES* services, MemoryMap* map);

/// Ends the boot services with the map that is then valid in `*map`. The firmware refuses when the
/// map has changed since it was asked for; then it is asked again, `kMaxAttempts` times in all.
/// `*attempts` gets the number of attempts. After the first attempt no other service may be used,
/// even if it failed. Errors: what the firmware answers.
inline constexpr unsigned kMaxAttempts = 8;
EFI_STATUS ExitBootServices(EFI_BOOT_SERVICES* services, EFI_HANDLE image, MemoryMap* map,
                            unsigned* attempts);

/// Gives every runtime descriptor its physical address as virtual one, which is how Linux's boot
/// protocol on arm64 says that the firmware may be called there and was told of no others
/// (efi=novamap of Linux's EFI stub). On x86_64 the kernel itself chooses addresses.
void MapToItself(const MemoryMap& map);

/// Fills the regions of `info` from the map: ascending, neighbours of one kind made one. What the
/// firmware only needs until the boot services have ended is RAM; its runtime services are regions
/// of their own.
void DescribeMemory(const MemoryMap& map, base::BootInfo* info);

}  // namespace efi
