// SPDX-License-Identifier: BSD-3-Clause
#include "boot/firmware/uefi.h"

#include <string.h>

namespace boot {

using base::BootInfo;
using base::BootReader;
using base::Firmware;
using base::MemoryType;
using khocore::PhysAddr;
using khocore::PhysRange;

namespace {

constexpr uint64_t kPageBytes = 4096;  ///< of UEFI, on every architecture
constexpr uint64_t kMostMapBytes = 1 << 20;
constexpr uint64_t kMostHoleBytes = 2 << 20;
constexpr uint64_t kMostDescriptorBytes = 4096;
constexpr uint64_t kSystemTableSignature = 0x5453595320494249;  // "IBI SYST"

/// The end of EFI_SYSTEM_TABLE.
struct TableCount {
  uint64_t count;
  uint64_t array;  ///< virtual, once a kernel has given the firmware virtual addresses
};
constexpr uint64_t kTableCountOffset = 104;

bool IsFree(const UefiDescriptor& descriptor) {
  // Loader and boot services, code and data; conventional memory.
  constexpr uint32_t kFreeTypes = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 7;
  return !descriptor.IsRuntime() && descriptor.type < 32 &&
         (kFreeTypes >> descriptor.type & 1) != 0;
}

bool IsRuntimeServices(uint32_t type) { return type == 5 || type == 6; }

/// False when it ends beyond the address space.
bool RangeOf(const UefiDescriptor& descriptor, PhysRange* range) {
  if (descriptor.pages > ~uint64_t{0} / kPageBytes) return false;
  *range = {PhysAddr::FromRaw(descriptor.physical), descriptor.pages * kPageBytes};
  return !range->Wraps();
}

bool HasFirmwareShape(const Firmware& firmware) {
  return firmware.map.size != 0 && firmware.map.size <= kMostMapBytes &&
         firmware.descriptor_size >= sizeof(UefiDescriptor) &&
         firmware.descriptor_size <= kMostDescriptorBytes;
}

void ReserveByMap(const void* map, const BootReader& reader, BootInfo* info) {
  UefiDescriptor descriptor;
  for (uint64_t i = 0; ReadDescriptor(info->firmware, map, i, &descriptor); ++i) {
    if (descriptor.pages == 0 || IsFree(descriptor)) continue;
    PhysRange range;
    if (!RangeOf(descriptor, &range)) {
      reader.Ignore("UEFI memory map: beyond the address space:", descriptor.physical);
      continue;
    }
    const bool services = IsRuntimeServices(descriptor.type);
    base::Reserve(info, range, services ? MemoryType::kRuntimeServices : MemoryType::kReserved);
  }
}

/// A pointer of the firmware's, which is virtual after SetVirtualAddressMap.
uint64_t Physical(const Firmware& firmware, const void* map, uint64_t pointer) {
  UefiDescriptor descriptor;
  for (uint64_t i = 0; ReadDescriptor(firmware, map, i, &descriptor); ++i) {
    if (!descriptor.IsRuntime() || descriptor.virtual_address == 0) continue;
    const uint64_t offset = pointer - descriptor.virtual_address;
    if (pointer >= descriptor.virtual_address && offset / kPageBytes < descriptor.pages) {
      return descriptor.physical + offset;
    }
  }
  return pointer;
}

/// Whether the firmware needs the memory at `address` when it is called. A map that somebody wrote
/// over does not say so of the system table.
bool IsRuntimeMemory(const Firmware& firmware, const void* map, PhysAddr address) {
  UefiDescriptor descriptor;
  for (uint64_t i = 0; ReadDescriptor(firmware, map, i, &descriptor); ++i) {
    PhysRange range;
    if (descriptor.IsRuntime() && RangeOf(descriptor, &range) && range.Contains({address, 1})) {
      return true;
    }
  }
  return false;
}

/// Whether there is memory, as far as this kernel is told. Or a small hole in RAM: the loader takes
/// tables out of a device tree's /memory.
bool IsInRegion(const BootInfo& info, PhysRange range) {
  if (range.size == 0 || range.Wraps()) return false;
  uint64_t below = 0;
  uint64_t above = ~uint64_t{0};
  for (size_t i = 0; i < info.region_count; ++i) {
    const base::MemoryRegion& region = info.regions[i];
    if (region.range.Contains(range)) return true;
    if (region.type != MemoryType::kRam || region.range.Wraps()) continue;
    const uint64_t begin = region.range.begin.raw();
    const uint64_t end = region.range.end().raw();
    if (end <= range.begin.raw() && end > below) below = end;
    if (begin >= range.end().raw() && begin < above) above = begin;
  }
  return below != 0 && above - below <= kMostHoleBytes;
}

/// False when there is no system table: the map is not what it was, either.
bool KeepTablesOf(const void* map, const BootReader& firmware, BootInfo* info) {
  auto find = [&](PhysRange range) {
    return IsInRegion(*info, range) ? firmware.Find(range.begin.raw(), range.size) : nullptr;
  };
  auto note = [&firmware](const char* text, uint64_t value) { firmware.Ignore(text, value); };
  const BootReader reader(find, note);
  const uint64_t system = info->firmware.system_table.raw();
  uint64_t signature = 0;
  TableCount tables;
  if (!IsRuntimeMemory(info->firmware, map, info->firmware.system_table) ||
      !reader.Read(system, &signature) || signature != kSystemTableSignature ||
      !reader.Read(system + kTableCountOffset, &tables)) {
    reader.Ignore("no EFI system table at", system);
    return false;
  }
  const uint64_t array = info->firmware.tables.is_null()
                             ? Physical(info->firmware, map, tables.array)
                             : info->firmware.tables.raw();
  KeepTables(PhysAddr::FromRaw(array), tables.count, reader, info);
  return true;
}

}  // namespace

bool ReadDescriptor(const Firmware& firmware, const void* map, uint64_t index,
                    UefiDescriptor* descriptor) {
  const uint64_t size = firmware.descriptor_size;
  if (size == 0 || index >= firmware.map.size / size) return false;
  memcpy(descriptor, static_cast<const uint8_t*>(map) + index * size, sizeof(*descriptor));
  return true;
}

void TakeFirmware(const BootReader& ram, const BootReader& firmware, BootInfo* info) {
  if (info->firmware.system_table.is_null()) return;
  const PhysRange range = info->firmware.map;
  const void* const map =
      HasFirmwareShape(info->firmware) ? ram.Find(range.begin.raw(), range.size) : nullptr;
  if (map == nullptr || !base::Keep(info, range)) {
    ram.Ignore("no UEFI memory map at", range.begin.raw());
    info->firmware = {};
  } else if (!KeepTablesOf(map, firmware, info)) {
    info->firmware = {};
  } else {
    ReserveByMap(map, ram, info);
  }
}

}  // namespace boot
