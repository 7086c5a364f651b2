// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/services.h"

#include <string.h>

namespace efi {

using khocore::AlignUp;
using khocore::PhysAddr;
using khocore::PhysRange;

const char* StatusName(EFI_STATUS status) {
  constexpr struct {
    EFI_STATUS status;
    const char* name;
  } kNames[] = {
      {EFI_SUCCESS, "EFI_SUCCESS"},
      {EFI_INVALID_PARAMETER, "EFI_INVALID_PARAMETER"},
      {EFI_UNSUPPORTED, "EFI_UNSUPPORTED"},
      {EFI_BUFFER_TOO_SMALL, "EFI_BUFFER_TOO_SMALL"},
      {EFI_DEVICE_ERROR, "EFI_DEVICE_ERROR"},
      {EFI_OUT_OF_RESOURCES, "EFI_OUT_OF_RESOURCES"},
      {EFI_VOLUME_CORRUPTED, "EFI_VOLUME_CORRUPTED"},
      {EFI_NO_MEDIA, "EFI_NO_MEDIA"},
      {EFI_NOT_FOUND, "EFI_NOT_FOUND"},
      {EFI_ACCESS_DENIED, "EFI_ACCESS_DENIED"},
      {EFI_MEDIA_CHANGED, "EFI_MEDIA_CHANGED"},
  };
  for (const auto& entry : kNames) {
    if (entry.status == status) return entry.name;
  }
  return "an unknown error";
}

PhysRange AllocatePages(EFI_BOOT_SERVICES* services, EFI_MEMORY_TYPE type, uint64_t bytes,
                        uint64_t alignment, uint64_t minimum) {
  // The firmware aligns to its pages alone, so more is taken, and given back around the piece.
  const uint64_t slack = alignment - kPageSize;
  if (bytes == 0 || bytes > ~uint64_t{0} - slack - kPageSize) return {};
  const uint64_t size = AlignUp(bytes, kPageSize);
  EFI_PHYSICAL_ADDRESS begin = 0;
  const EFI_STATUS status =
      services->AllocatePages(AllocateAnyPages, type, (size + slack) / kPageSize, &begin);
  if (EFI_ERROR(status)) return {};
  const uint64_t end = begin + size + slack;
  const uint64_t place = AlignUp(begin, alignment);
  if (place < minimum) {
    services->FreePages(begin, (end - begin) / kPageSize);
    return {};
  }
  if (place != begin) services->FreePages(begin, (place - begin) / kPageSize);
  if (place + size != end) {
    services->FreePages(place + size, (end - place - size) / kPageSize);
  }
  return {PhysAddr::FromRaw(place), bytes};
}

const void* FindTable(const EFI_SYSTEM_TABLE& system, const EFI_GUID& guid) {
  for (UINTN i = 0; i < system.NumberOfTableEntries; ++i) {
    const EFI_CONFIGURATION_TABLE& entry = system.ConfigurationTable[i];
    if (memcmp(&entry.VendorGuid, &guid, sizeof(guid)) == 0) return entry.VendorTable;
  }
  return nullptr;
}

uint8_t SecureBootMode(const EFI_SYSTEM_TABLE& system) {
  constexpr uint8_t kUnknown = 1;
  constexpr uint8_t kOff = 2;
  constexpr uint8_t kOn = 3;
  EFI_GUID global = EFI_GLOBAL_VARIABLE;
  CHAR16 name[] = {'S', 'e', 'c', 'u', 'r', 'e', 'B', 'o', 'o', 't', 0};
  UINT8 value = 0;
  UINTN size = sizeof(value);
  const EFI_STATUS status =
      system.RuntimeServices->GetVariable(name, &global, nullptr, &size, &value);
  if (status == EFI_NOT_FOUND) return kOff;
  if (EFI_ERROR(status) || size != sizeof(value)) return kUnknown;
  return value == 1 ? kOn : kOff;
}

}  // namespace efi
