// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/tables.h"

#include <string.h>

namespace efi {

using base::BootInfo;
using base::MemoryRegion;
using base::MemoryType;
using khocore::PhysAddr;
using khocore::PhysRange;

namespace {

constexpr uint32_t kNoField = ~uint32_t{0};

/// A table of `head` bytes and a number of entries, which 32-bit fields of the head tell.
struct Kind {
  EFI_GUID guid;
  uint32_t head;
  uint32_t count_at = kNoField;
  uint32_t entry_bytes = 1;
  uint32_t entry_bytes_at = kNoField;
};

// UEFI specification 2.10, 4.6 and 23.4, and Linux's include/linux/efi.h.
constexpr Kind kKinds[] = {
    // EFI_MEMORY_ATTRIBUTES_TABLE: version, entries, bytes of one
    {{0xdcfa911d, 0x26eb, 0x469f, {0xa2, 0x20, 0x38, 0xb7, 0xdc, 0x46, 0x12, 0x20}}, 16, 4, 0, 8},
    // EFI_SYSTEM_RESOURCE_TABLE: entries
    {{0xb122a263, 0x3661, 0x4f68, {0x99, 0x29, 0x78, 0xf8, 0xb0, 0xd6, 0x21, 0x80}}, 16, 0, 40},
    // EFI_RT_PROPERTIES_TABLE
    {{0xeb66918a, 0x7eef, 0x402a, {0x84, 0x2e, 0x93, 0x1d, 0x21, 0xc3, 0x8a, 0xe9}}, 8},
    // LINUX_EFI_RANDOM_SEED_TABLE: bytes
    {{0x1ce1e5bc, 0x7ceb, 0x42f2, {0x81, 0xe5, 0x8a, 0xad, 0xf1, 0x80, 0xf5, 0x7b}}, 4, 0},
    // LINUX_EFI_TPM_EVENT_LOG: bytes
    {{0xb7799cb0, 0xeca2, 0x4943, {0x96, 0x67, 0x1f, 0xae, 0x07, 0xb7, 0x47, 0xfa}}, 9, 0},
};

/// More is no table but what was left in its place: the head alone is kept then.
constexpr uint64_t kMostBytes = 1 << 20;

uint32_t Field(const void* table, uint32_t at) {
  uint32_t value = 0;
  memcpy(&value, static_cast<const uint8_t*>(table) + at, sizeof(value));
  return value;
}

uint64_t SizeOf(const Kind& kind, const void* table) {
  if (kind.count_at == kNoField) return kind.head;
  const uint64_t entry =
      kind.entry_bytes_at == kNoField ? kind.entry_bytes : Field(table, kind.entry_bytes_at);
  const uint64_t count = Field(table, kind.count_at);
  if (entry > kMostBytes || count > kMostBytes || count * entry > kMostBytes) return kind.head;
  return kind.head + count * entry;
}

/// Makes room for a region before that at `at`. False when there is none.
bool Insert(size_t at, const MemoryRegion& region, BootInfo* info) {
  if (info->region_count == BootInfo::kMaxRegions) {
    ++info->regions_dropped;
    return false;
  }
  memmove(&info->regions[at + 1], &info->regions[at],
          (info->region_count - at) * sizeof(MemoryRegion));
  info->regions[at] = region;
  ++info->region_count;
  return true;
}

void Reserve(PhysRange pages, BootInfo* info) {
  for (size_t i = 0; i < info->region_count; ++i) {
    const MemoryRegion region = info->regions[i];
    if (region.type != MemoryType::kRam || !region.range.Overlaps(pages)) continue;
    const PhysAddr begin = region.range.begin < pages.begin ? pages.begin : region.range.begin;
    const PhysAddr end = pages.end() < region.range.end() ? pages.end() : region.range.end();
    info->regions[i] = {{begin, end - begin}, MemoryType::kReserved};
    const PhysRange before{region.range.begin, begin - region.range.begin};
    const PhysRange after{end, region.range.end() - end};
    if (after.size != 0) Insert(i + 1, {after, MemoryType::kRam}, info);
    if (before.size != 0 && Insert(i, {before, MemoryType::kRam}, info)) ++i;
  }
}

}  // namespace

void KeepTables(const EFI_SYSTEM_TABLE& system, BootInfo* info) {
  for (const Kind& kind : kKinds) {
    const void* const table = FindTable(system, kind.guid);
    if (table == nullptr) continue;
    const auto begin = PhysAddr::FromRaw(reinterpret_cast<uint64_t>(table));
    Reserve(khocore::WholePages({begin, SizeOf(kind, table)}), info);
  }
}

}  // namespace efi
