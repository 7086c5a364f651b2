// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/memory_map.h"

#include <string.h>

namespace efi {

using base::BootInfo;
using base::MemoryRegion;
using base::MemoryType;
using khocore::PhysAddr;
using khocore::PhysRange;

namespace {

MemoryType TypeOf(uint32_t efi_type) {
  switch (efi_type) {
    case EfiLoaderCode:
    case EfiLoaderData:
    case EfiBootServicesCode:
    case EfiBootServicesData:
    case EfiConventionalMemory:
      return MemoryType::kRam;
    case EfiRuntimeServicesCode:
    case EfiRuntimeServicesData:
      return MemoryType::kRuntimeServices;
    case EfiACPIReclaimMemory:
      return MemoryType::kAcpi;
    case EfiACPIMemoryNVS:
      return MemoryType::kNvs;
    case EfiUnusableMemory:
      return MemoryType::kUnusable;
    default:
      return MemoryType::kReserved;
  }
}

EFI_STATUS GetMap(EFI_BOOT_SERVICES* services, MemoryMap* map, UINTN* key) {
  UINTN bytes = map->buffer.size;
  UINTN descriptor_size = 0;
  UINT32 version = 0;
  const EFI_STATUS status =
      services->GetMemoryMap(&bytes, reinterpret_cast<EFI_MEMORY_DESCRIPTOR*>(map->buffer.data),
                             key, &descriptor_size, &version);
  map->bytes = bytes;
  map->descriptor_size = descriptor_size;
  map->version = version;
  return status;
}

/// The usable descriptor with the lowest address of at least `from`. False when there is none.
bool FindNext(const MemoryMap& map, uint64_t from, EFI_MEMORY_DESCRIPTOR* next) {
  bool found = false;
  for (size_t at = 0; map.bytes - at >= map.descriptor_size; at += map.descriptor_size) {
    EFI_MEMORY_DESCRIPTOR entry;
    memcpy(&entry, map.buffer.data + at, sizeof(entry));
    if (entry.NumberOfPages == 0 || entry.PhysicalStart < from) continue;
    if (found && entry.PhysicalStart >= next->PhysicalStart) continue;
    *next = entry;
    found = true;
  }
  return found;
}

void Append(const EFI_MEMORY_DESCRIPTOR& entry, BootInfo* info) {
  const MemoryType type = TypeOf(entry.Type);
  // More than there can be is all there can be: cut off, it would reserve less than it says.
  constexpr uint64_t kMost = ~uint64_t{0};
  const uint64_t size =
      entry.NumberOfPages > kMost / kPageSize ? kMost : entry.NumberOfPages * kPageSize;
  if (info->region_count != 0) {
    MemoryRegion& last = info->regions[info->region_count - 1];
    if (last.type == type && last.range.end().raw() == entry.PhysicalStart &&
        size <= kMost - last.range.size) {
      last.range.size += size;
      return;
    }
  }
  if (info->region_count == BootInfo::kMaxRegions) {
    ++info->regions_dropped;
    return;
  }
  info->regions[info->region_count++] = {{PhysAddr::FromRaw(entry.PhysicalStart), size}, type};
}

}  // namespace

EFI_STATUS AllocateMap(EFI_BOOT_SERVICES* services, MemoryMap* map) {
  map->buffer = {};
  UINTN key = 0;
  const EFI_STATUS status = GetMap(services, map, &key);
  if (status != EFI_BUFFER_TOO_SMALL) return EFI_ERROR(status) ? status : EFI_DEVICE_ERROR;
  const uint64_t bytes = map->bytes + kSpareDescriptors * map->descriptor_size;
  const PhysRange pages = AllocatePages(services, EfiLoaderData, bytes);
  if (pages.size == 0) return EFI_OUT_OF_RESOURCES;
  map->buffer = {reinterpret_cast<uint8_t*>(pages.begin.raw()), pages.size};
  return EFI_SUCCESS;
}

EFI_STATUS ExitBootServices(EFI_BOOT_SERVICES* services, EFI_HANDLE image, MemoryMap* map,
                            unsigned* attempts) {
  EFI_STATUS status = EFI_INVALID_PARAMETER;
  *attempts = 0;
  while (status == EFI_INVALID_PARAMETER && *attempts < kMaxAttempts) {
    UINTN key = 0;
    status = GetMap(services, map, &key);
    if (EFI_ERROR(status)) return status;
    ++*attempts;
    status = services->ExitBootServices(image, key);
  }
  return status;
}

void MapToItself(const MemoryMap& map) {
  if (map.descriptor_size < sizeof(EFI_MEMORY_DESCRIPTOR)) return;
  for (size_t at = 0; map.bytes - at >= map.descriptor_size; at += map.descriptor_size) {
    EFI_MEMORY_DESCRIPTOR entry;
    memcpy(&entry, map.buffer.data + at, sizeof(entry));
    if ((entry.Attribute & EFI_MEMORY_RUNTIME) == 0) continue;
    entry.VirtualStart = entry.PhysicalStart;
    memcpy(map.buffer.data + at, &entry, sizeof(entry));
  }
}

void DescribeMemory(const MemoryMap& map, BootInfo* info) {
  info->region_count = 0;
  info->regions_dropped = 0;
  if (map.descriptor_size < sizeof(EFI_MEMORY_DESCRIPTOR)) return;
  EFI_MEMORY_DESCRIPTOR entry;
  for (uint64_t from = 0; FindNext(map, from, &entry); from = entry.PhysicalStart + 1) {
    Append(entry, info);
    if (entry.PhysicalStart == ~uint64_t{0}) break;
  }
}

}  // namespace efi
