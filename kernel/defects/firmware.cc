// SPDX-License-Identifier: BSD-3-Clause
// Faults of what a kernel tells the next one of the firmware.

#include <string.h>

#include "kernel/base/boot_info.h"
#include "kernel/base/direct_map.h"
#include "kernel/kexec/points.h"

namespace defects {
namespace {

using base::BootInfo;
using base::Direct;
using base::MemoryRegion;
using base::MemoryType;
using khocore::PhysRange;
using rig::FaultAt;
using rig::Fire;
using rig::Point;

/// What boot_params hold themselves; the rest is a setup_data.
constexpr size_t kInBootParams = 128;
/// Pages of a table that the loader keeps.
constexpr uint64_t kMostTableBytes = 64 << 10;

/// This kernel's machine as the next one will be told of it, to be changed.
BootInfo& Told(kexec::PlacedParameters& placed) {
  static constinit BootInfo told{};
  told = *placed.boot.info;
  placed.boot.info = &told;
  return told;
}

void DropRsdp(kexec::PlacedParameters& placed) {
  if (placed.boot.info->rsdp.is_null()) return;
  Fire();
  Told(placed).rsdp = {};
}
KHORIG_FAULT(rsdp_not_handed_on) = FaultAt<Point::kParametersPlaced, DropRsdp>(
    "rsdp-not-handed-on", 1, "N3", "the next kernel is not told of the RSDP (x86_64)");

void ReclaimAcpi(kexec::PlacedParameters& placed) {
  const BootInfo& info = *placed.boot.info;
  for (size_t i = 0; i < info.region_count; ++i) {
    if (info.regions[i].type != MemoryType::kAcpi) continue;
    Fire();
    Told(placed).regions[i].type = MemoryType::kRam;
    return;
  }
}
KHORIG_FAULT(acpi_reclaimed) = FaultAt<Point::kParametersPlaced, ReclaimAcpi>(
    "acpi-reclaimed", 1, "N4", "memory with ACPI tables is handed on as RAM (x86_64)");

void TruncateMap(kexec::PlacedParameters& placed) {
  const BootInfo& info = *placed.boot.info;
  if (info.region_count <= kInBootParams || info.device_tree.size != 0) return;
  Fire();
  Told(placed).region_count = kInBootParams;
}
KHORIG_FAULT(e820_truncated) = FaultAt<Point::kParametersPlaced, TruncateMap>(
    "e820-truncated", 1, "L10",
    "of more than 128 memory regions the next kernel is told of the first 128 (x86_64)");

bool IsSmall(PhysRange range) { return range.size != 0 && range.size <= kMostTableBytes; }

bool IsInMap(const BootInfo& info, PhysRange range) {
  for (size_t i = 0; i < info.region_count; ++i) {
    if (info.regions[i].range.Overlaps(range)) return true;
  }
  return false;
}

/// Of a device tree the next kernel gets a copy, so it is edited in place: a `reg` gets longer.
bool GrowInTree(PhysRange tree, PhysRange range, uint64_t bytes) {
  const uint64_t entry[] = {__builtin_bswap64(range.begin.raw()), __builtin_bswap64(range.size)};
  auto* const blob = Direct<uint8_t>(tree.begin);
  for (uint64_t at = 0; at + sizeof(entry) <= tree.size; at += sizeof(uint32_t)) {
    if (memcmp(blob + at, entry, sizeof(entry)) != 0) continue;
    const uint64_t size = __builtin_bswap64(range.size + bytes);
    memcpy(blob + at + sizeof(uint64_t), &size, sizeof(size));
    return true;
  }
  return false;
}

/// The loader keeps each table of the firmware's in a small piece between pieces of RAM, which on
/// machines with a device tree is a hole.
void FreeTables(kexec::PlacedParameters& placed) {
  const BootInfo& info = *placed.boot.info;
  for (size_t i = 0; i + 1 < info.region_count; ++i) {
    const MemoryRegion& here = info.regions[i];
    const MemoryRegion& next = info.regions[i + 1];
    if (here.type != MemoryType::kRam || next.range.begin < here.range.end()) continue;
    const PhysRange gap{here.range.end(), next.range.begin - here.range.end()};
    if (info.device_tree.size != 0) {
      if (next.type == MemoryType::kRam && IsSmall(gap) && !IsInMap(info, gap) &&
          GrowInTree(info.device_tree, here.range, gap.size)) {
        Fire();
      }
    } else if (gap.size == 0 && next.type == MemoryType::kReserved && IsSmall(next.range) &&
               i + 2 < info.region_count && info.regions[i + 2].type == MemoryType::kRam &&
               info.regions[i + 2].range.begin == next.range.end()) {
      Fire();
      Told(placed).regions[i + 1].type = MemoryType::kRam;
    }
  }
}
KHORIG_FAULT(config_table_in_free_memory) = FaultAt<Point::kParametersPlaced, FreeTables>(
    "config-table-in-free-memory", 1, "N4",
    "memory that the loader kept for a table of the firmware's is handed on as RAM");

}  // namespace
}  // namespace defects
