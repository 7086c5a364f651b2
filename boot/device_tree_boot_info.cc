// SPDX-License-Identifier: BSD-3-Clause
#include <libfdt.h>
#include <string.h>

#include "boot/device_tree.h"

// Devicetree specification 0.4, 3.4 to 3.6 and 5.3, and Linux Documentation/devicetree/bindings/
// chosen.txt. The handover's two properties are Linux's drivers/of/kexec.c.

namespace boot {

using khocore::AlignDown;
using khocore::AlignUp;
using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;

namespace {

void AddRegion(PhysRange range, MemoryType type, BootInfo* info) {
  if (range.size == 0) return;
  if (info->region_count == BootInfo::kMaxRegions) {
    ++info->regions_dropped;
    return;
  }
  info->regions[info->region_count++] = {range, type};
}

void AddRanges(const DeviceTree& tree, int node, CellCounts cells, MemoryType type,
               BootInfo* info) {
  PhysRange range;
  for (size_t i = 0; tree.RangeAt(node, "reg", cells, i, &range); ++i) {
    AddRegion(range, type, info);
  }
}

void ReadMemory(const DeviceTree& tree, CellCounts cells, BootInfo* info) {
  for (int node = tree.FirstChild(0); node >= 0; node = tree.NextChild(node)) {
    const char* const type = tree.String(node, "device_type");
    if (type == nullptr || strcmp(type, "memory") != 0 || !tree.IsEnabled(node)) continue;
    AddRanges(tree, node, cells, MemoryType::kRam, info);
  }
}

void ReadReservations(const DeviceTree& tree, BootInfo* info, Note note) {
  const int count = fdt_num_mem_rsv(tree.blob());
  for (int i = 0; i < count; ++i) {
    uint64_t begin = 0;
    uint64_t size = 0;
    if (fdt_get_mem_rsv(tree.blob(), i, &begin, &size) != 0) break;
    AddRegion({PhysAddr::FromRaw(begin), size}, MemoryType::kReserved, info);
  }
  const int parent = tree.Find("/reserved-memory");
  if (parent < 0) return;
  CellCounts cells;
  if (!tree.ChildCells(parent, &cells)) {
    note("/reserved-memory: its cell counts are not 1 or 2; ignored");
    return;
  }
  for (int node = tree.FirstChild(parent); node >= 0; node = tree.NextChild(node)) {
    if (tree.IsEnabled(node)) AddRanges(tree, node, cells, MemoryType::kReserved, info);
  }
}

void ReadCommandLine(const DeviceTree& tree, int chosen, BootInfo* info, Note note) {
  if (tree.Property(chosen, "bootargs").size == 0) return;
  const char* const text = tree.String(chosen, "bootargs");
  if (text == nullptr) {
    note("/chosen/bootargs: not terminated; ignored");
    return;
  }
  const size_t length = strlen(text);
  const size_t room = BootInfo::kMaxCommandLine - 1;
  info->command_line_truncated = length > room;
  memcpy(info->command_line, text, info->command_line_truncated ? room : length);
}

void ReadInitrd(const DeviceTree& tree, int chosen, BootInfo* info, Note note) {
  uint64_t begin = 0;
  uint64_t end = 0;
  const bool has_begin = tree.Number(chosen, "linux,initrd-start", &begin);
  const bool has_end = tree.Number(chosen, "linux,initrd-end", &end);
  if (!has_begin && !has_end) return;
  if (!has_begin || !has_end || end < begin) {
    note("/chosen/linux,initrd-start and -end: no range; ignored");
    return;
  }
  info->initrd = {PhysAddr::FromRaw(begin), end - begin};
}

/// Both properties or none, one range each: that is how Linux reads them, too.
void ReadHandover(const DeviceTree& tree, int chosen, CellCounts cells, BootInfo* info, Note note) {
  constexpr const char* kNames[2] = {"linux,kho-fdt", "linux,kho-scratch"};
  PhysRange ranges[2];
  size_t found = 0;
  size_t good = 0;
  for (size_t i = 0; i < 2; ++i) {
    const Span<const uint8_t> bytes = tree.Property(chosen, kNames[i]);
    found += bytes.data != nullptr ? 1 : 0;
    if (bytes.size != (cells.address + cells.size) * sizeof(uint32_t)) continue;
    good += tree.RangeAt(chosen, kNames[i], cells, 0, &ranges[i]) && ranges[i].size != 0 ? 1 : 0;
  }
  if (good == 2) {
    info->kho_root = ranges[0];
    info->kho_scratch = ranges[1];
  } else if (found != 0) {
    note("/chosen/linux,kho-fdt and -scratch: not one range each; handover ignored");
  }
}

void Keep(PhysRange range, BootInfo* info) {
  constexpr size_t kMost = sizeof(info->keep) / sizeof(info->keep[0]);
  if (info->keep_count == kMost) return;
  const uint64_t begin = AlignDown(range.begin.raw(), kPageSize);
  info->keep[info->keep_count++] = {PhysAddr::FromRaw(begin),
                                    AlignUp(range.end().raw(), kPageSize) - begin};
}

}  // namespace

void ReadBootInfo(const DeviceTree& tree, PhysAddr address, BootInfo* info, Note note) {
  info->parameters = address;
  info->device_tree = {address, tree.size()};
  Keep(info->device_tree, info);
  CellCounts cells;
  if (!tree.ChildCells(0, &cells)) {
    note("/: its cell counts are not 1 or 2; device tree ignored");
    return;
  }
  ReadMemory(tree, cells, info);
  ReadReservations(tree, info, note);
  const int chosen = tree.Find("/chosen");
  if (chosen < 0) return;
  ReadCommandLine(tree, chosen, info, note);
  ReadInitrd(tree, chosen, info, note);
  ReadHandover(tree, chosen, cells, info, note);
  if (info->kho_scratch.size != 0) Keep(info->kho_scratch, info);
}

}  // namespace boot
