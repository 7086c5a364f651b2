// SPDX-License-Identifier: BSD-3-Clause
//
// Makes life hard for the EFI loader, then starts it (`loader.efi` beside this application):
// memory is in more pieces than boot_params has room for, the memory map changes between the
// loader's look at it and the end of the boot services, and the command line comes as load options
// in the way of a firmware shell.

#include <stddef.h>
#include <stdint.h>

#include "boot/efi/folder.h"
#include "boot/efi/services.h"
#include "khocore/types.h"

namespace {

using khocore::PhysRange;

constexpr uint64_t kPieces = 70;  ///< twice as many regions, the free ones between them included
/// Newer firmware for arm64 reserves 64 KiB at a time, because a kernel may have pages of that
/// size.
constexpr uint64_t kPieceBytes = 64 << 10;
constexpr uint64_t kPiecePages = kPieceBytes / efi::kPageSize;
constexpr char kOwnName[] = "loader.efi ";
/// What only the load options say.
constexpr char kMore[] = " megabytes=16";
constexpr size_t kMaxOptions = 2048;

EFI_BOOT_SERVICES* services;
EFI_EXIT_BOOT_SERVICES firmware_exit;
unsigned exits;

/// Reserves every other piece of an area.
bool ScatterMemory() {
  constexpr uint64_t kAreaPages = (2 * kPieces + 1) * kPiecePages;
  EFI_PHYSICAL_ADDRESS area = 0;
  if (EFI_ERROR(services->AllocatePages(AllocateAnyPages, EfiLoaderData, kAreaPages, &area))) {
    return false;
  }
  services->FreePages(area, kAreaPages);
  const uint64_t first = khocore::AlignUp(area, kPieceBytes);
  for (uint64_t i = 0; i < kPieces; ++i) {
    EFI_PHYSICAL_ADDRESS piece = first + 2 * i * kPieceBytes;
    if (EFI_ERROR(
            services->AllocatePages(AllocateAddress, EfiReservedMemoryType, kPiecePages, &piece))) {
      return false;
    }
  }
  return true;
}

/// In front of the firmware's own: the first time, the map is no longer the one that `key` is of.
EFI_STATUS EFIAPI ExitLate(EFI_HANDLE image, UINTN key) {
  EFI_PHYSICAL_ADDRESS page = 0;
  if (exits++ == 0) services->AllocatePages(AllocateAnyPages, EfiReservedMemoryType, 1, &page);
  return firmware_exit(image, key);
}

size_t Append(const char* text, size_t limit, CHAR16* options, size_t length) {
  for (size_t i = 0; i < limit && text[i] != '\0' && text[i] != '\n'; ++i) {
    if (length < kMaxOptions) options[length++] = static_cast<unsigned char>(text[i]);
  }
  return length;
}

EFI_LOADED_IMAGE* ImageOf(EFI_HANDLE handle) {
  EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
  EFI_LOADED_IMAGE* image = nullptr;
  services->HandleProtocol(handle, &guid, reinterpret_cast<void**>(&image));
  return image;
}

}  // namespace

extern "C" EFI_STATUS efi_main(EFI_HANDLE self, EFI_SYSTEM_TABLE* system) {
  services = system->BootServices;
  efi::Folder folder;
  EFI_STATUS status = folder.Open(services, self);
  PhysRange loader;
  PhysRange line;
  if (!EFI_ERROR(status)) status = folder.Read("loader.efi", &loader);
  if (!EFI_ERROR(status)) status = folder.Read("cmdline.txt", &line);
  if (EFI_ERROR(status)) return status;
  if (!ScatterMemory()) return EFI_OUT_OF_RESOURCES;
  firmware_exit = services->ExitBootServices;
  services->ExitBootServices = ExitLate;

  EFI_HANDLE child = nullptr;
  status = services->LoadImage(FALSE, self, nullptr, reinterpret_cast<void*>(loader.begin.raw()),
                               loader.size, &child);
  if (EFI_ERROR(status)) return status;
  static CHAR16 options[kMaxOptions + 1];
  size_t length = Append(kOwnName, sizeof(kOwnName), options, 0);
  length = Append(reinterpret_cast<const char*>(line.begin.raw()), line.size, options, length);
  length = Append(kMore, sizeof(kMore), options, length);
  EFI_LOADED_IMAGE* const image = ImageOf(child);
  image->DeviceHandle = ImageOf(self)->DeviceHandle;
  image->FilePath = ImageOf(self)->FilePath;
  image->LoadOptions = options;
  image->LoadOptionsSize = static_cast<UINT32>((length + 1) * sizeof(CHAR16));
  return services->StartImage(child, nullptr, nullptr);
}
