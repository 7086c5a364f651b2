// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/boot_reader.h"

namespace base {

using khocore::PhysAddr;
using khocore::PhysRange;

namespace {

/// Makes room for a region before that at `at`. False when there is none.
bool Insert(size_t at, const MemoryRegion& region, BootInfo* info) {
  if (info->region_count == BootInfo::kMaxRegions) {
    ++info->regions_dropped;
    return false;
  }
  for (size_t i = info->region_count++; i > at; --i) info->regions[i] = info->regions[i - 1];
  info->regions[at] = region;
  return true;
}

}  // namespace

void AddRegion(BootInfo* info, uint64_t begin, uint64_t size, uint32_t type) {
  if (size == 0) return;
  if (info->region_count == BootInfo::kMaxRegions) {
    ++info->regions_dropped;
    return;
  }
  info->regions[info->region_count++] = {.range = {PhysAddr::FromRaw(begin), size},
                                         .type = static_cast<MemoryType>(type)};
}

void Reserve(BootInfo* info, PhysRange range, MemoryType type) {
  for (size_t i = 0; i < info->region_count; ++i) {
    const MemoryRegion region = info->regions[i];
    if (region.type != MemoryType::kRam || !region.range.Overlaps(range)) continue;
    const PhysAddr begin = region.range.begin < range.begin ? range.begin : region.range.begin;
    const PhysAddr end = range.end() < region.range.end() ? range.end() : region.range.end();
    info->regions[i] = {{begin, end - begin}, type};
    const PhysRange before{region.range.begin, begin - region.range.begin};
    const PhysRange after{end, region.range.end() - end};
    if (after.size != 0) Insert(i + 1, {after, MemoryType::kRam}, info);
    if (before.size != 0 && Insert(i, {before, MemoryType::kRam}, info)) ++i;
  }
}

bool CoveredByRam(const BootInfo& info, PhysRange range) {
  if (range.Wraps()) return false;
  uint64_t at = range.begin.raw();
  const uint64_t end = range.end().raw();
  for (bool moved = true; moved && at < end;) {
    moved = false;
    for (size_t i = 0; i < info.region_count; ++i) {
      const PhysRange& ram = info.regions[i].range;
      if (info.regions[i].type != MemoryType::kRam || ram.Wraps()) continue;
      if (!ram.Contains({PhysAddr::FromRaw(at), 1})) continue;
      at = ram.end().raw();
      moved = true;
    }
  }
  return at >= end;
}

bool Keep(BootInfo* info, PhysRange range) {
  if (range.size == 0 || range.Wraps()) return true;
  const PhysRange pages = khocore::WholePages(range);
  uint64_t begin = pages.begin.raw();
  uint64_t end = pages.end().raw();
  for (size_t i = 0; i < info->keep_count;) {
    const PhysRange& other = info->keep[i];
    if (other.begin.raw() > end || other.end().raw() < begin) {
      ++i;
      continue;
    }
    begin = other.begin.raw() < begin ? other.begin.raw() : begin;
    end = other.end().raw() > end ? other.end().raw() : end;
    info->keep[i] = info->keep[--info->keep_count];
  }
  if (info->keep_count == sizeof(info->keep) / sizeof(info->keep[0])) return false;
  info->keep[info->keep_count++] = {PhysAddr::FromRaw(begin), end - begin};
  return true;
}

void Keep(BootInfo* info, PhysRange range, const BootReader& reader) {
  if (!Keep(info, range)) reader.Ignore("no room to keep the memory at", range.begin.raw());
}

void ReadCommandLine(BootInfo* info, uint64_t address, const BootReader& reader) {
  constexpr size_t kRoom = BootInfo::kMaxCommandLine - 1;
  size_t length = 0;
  bool terminated = false;
  while (length < kRoom && !terminated) {
    const uint64_t at = address + length;
    const size_t in_page = khocore::kPageSize - (at & (khocore::kPageSize - 1));
    const size_t chunk = in_page < kRoom - length ? in_page : kRoom - length;
    const auto* bytes = static_cast<const char*>(reader.Find(at, chunk));
    if (bytes == nullptr) {
      reader.Ignore("command line outside RAM at", at);
      break;
    }
    size_t used = 0;
    while (used < chunk && bytes[used] != '\0') info->command_line[length++] = bytes[used++];
    terminated = used < chunk;
    Keep(info, {PhysAddr::FromRaw(at), terminated ? used + 1 : used}, reader);
  }
  info->command_line[length] = '\0';
  info->command_line_truncated = length == kRoom && !terminated;
}

}  // namespace base
