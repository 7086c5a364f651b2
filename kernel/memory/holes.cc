// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/memory/holes.h"

namespace memory {
namespace {

using base::BootInfo;
using base::MemoryType;
using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;

bool IsInUse(const BootInfo& info, PhysRange range) {
  bool used =
      info.image.Overlaps(range) || info.initrd.Overlaps(range) || info.device_tree.Overlaps(range);
  for (size_t i = 0; i < info.keep_count; ++i) used |= info.keep[i].Overlaps(range);
  return used;
}

/// Whether all of `range` is RAM and nothing else.
bool IsRam(const BootInfo& info, PhysRange range) {
  bool ram = false;
  for (size_t i = 0; i < info.region_count; ++i) {
    const base::MemoryRegion& region = info.regions[i];
    if (region.type == MemoryType::kRam) {
      ram |= region.range.Contains(range);
    } else if (region.range.Overlaps(range)) {
      return false;
    }
  }
  return ram;
}

uint64_t RamBytes(const BootInfo& info) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < info.region_count; ++i) {
    if (info.regions[i].type == MemoryType::kRam) bytes += info.regions[i].range.size;
  }
  return bytes;
}

/// The page of RAM that has `offset` bytes of RAM below it, in the order of the regions.
PhysAddr AtOffset(const BootInfo& info, uint64_t offset) {
  for (size_t i = 0; i < info.region_count; ++i) {
    const base::MemoryRegion& region = info.regions[i];
    if (region.type != MemoryType::kRam) continue;
    if (offset < region.range.size) {
      return PhysAddr::FromRaw(khocore::AlignDown((region.range.begin + offset).raw(), kPageSize));
    }
    offset -= region.range.size;
  }
  return PhysAddr();
}

}  // namespace

uint32_t AddHoles(uint32_t count, BootInfo* info) {
  const uint64_t half = RamBytes(*info) / 2;
  const uint64_t distance = half / (uint64_t{count} + 1);
  uint32_t made = 0;
  for (uint32_t i = 0; i < count && info->region_count < BootInfo::kMaxRegions; ++i) {
    PhysRange hole{AtOffset(*info, half + (uint64_t{i} + 1) * distance),
                   (1 + uint64_t{i} % 3) * kPageSize};
    // What is in use is larger than a hole, and may be larger than all that lies between two.
    const PhysAddr limit = hole.begin + distance;
    while (hole.end() < limit && (IsInUse(*info, hole) || !IsRam(*info, hole))) {
      hole.begin = hole.begin + kPageSize;
    }
    if (limit <= hole.end()) continue;
    info->regions[info->region_count++] = {hole, MemoryType::kUnusable};
    ++made;
  }
  return made;
}

}  // namespace memory
