// SPDX-License-Identifier: BSD-3-Clause
#include "boot/linux_image/arm64/read_device_tree.h"

#include <libfdt.h>
#include <string.h>

#include "boot/linux_image/arm64/device_tree_names.h"
#include "kernel/base/boot_reader.h"
#include "kernel/base/device_tree.h"

// Devicetree specification 0.4, 3.4 to 3.6 and 5.3, and Linux Documentation/devicetree/bindings/
// chosen.txt. The handover's two properties are Linux's drivers/of/kexec.c.

namespace boot {

using base::BootInfo;
using base::CellCounts;
using base::DeviceTree;
using base::FirstString;
using base::HasString;
using base::MemoryType;
using base::Note;
using base::PropertyValue;
using base::ReadNumber;
using base::ReadRange;
using base::TreeNode;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::WholePages;

namespace {

void AddRegion(PhysRange range, MemoryType type, BootInfo* info) {
  base::AddRegion(info, range.begin.raw(), range.size, static_cast<uint32_t>(type));
}

void AddReg(const TreeNode& node, MemoryType type, BootInfo* info) {
  PhysRange range;
  for (size_t i = 0; node.Reg(i, &range); ++i) AddRegion(range, type, info);
}

/// A kernel that loads this one reserves the initrd and the tree it wrote. They are in use until
/// they have been read, but RAM like any other, and may lie in scratch.
void ReadReservations(const DeviceTree& tree, BootInfo* info) {
  const PhysRange initrd = WholePages(info->initrd);
  const PhysRange blob = WholePages(info->device_tree);
  const int count = fdt_num_mem_rsv(tree.blob());
  for (int i = 0; i < count; ++i) {
    uint64_t begin = 0;
    uint64_t size = 0;
    if (fdt_get_mem_rsv(tree.blob(), i, &begin, &size) != 0) break;
    const PhysRange range{PhysAddr::FromRaw(begin), size};
    if (initrd.Contains(range) || blob.Contains(range)) continue;
    AddRegion(range, MemoryType::kReserved, info);
  }
}

/// Memory and reserved memory. Returns the offset of /chosen, or -1.
int ReadNodes(const DeviceTree& tree, BootInfo* info, Note note) {
  int chosen = -1;
  tree.Walk([&](const TreeNode& node) {
    if (node.IsInRoot()) {
      if (strcmp(node.name, "chosen") == 0) chosen = node.offset;
      if (strcmp(node.name, "reserved-memory") == 0 && !node.child_cells.AreValid()) {
        note("/reserved-memory: its cell counts are not 1 or 2; ignored");
      }
      if (HasString(node.device_type, "memory") && node.IsEnabled()) {
        AddReg(node, MemoryType::kRam, info);
      }
    } else if (node.IsIn("reserved-memory") && node.IsEnabled()) {
      const bool firmware = HasString(node.compatible, kRuntimeServicesCompatible);
      AddReg(node, firmware ? MemoryType::kRuntimeServices : MemoryType::kReserved, info);
    }
  });
  return chosen;
}

void ReadCommandLine(const DeviceTree& tree, int chosen, BootInfo* info, Note note) {
  const PropertyValue value = tree.Property(chosen, "bootargs");
  if (value.size == 0) return;
  const char* const text = FirstString(value);
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
  const bool has_begin = ReadNumber(tree.Property(chosen, "linux,initrd-start"), &begin);
  const bool has_end = ReadNumber(tree.Property(chosen, "linux,initrd-end"), &end);
  if (!has_begin && !has_end) return;
  if (!has_begin || !has_end || end < begin) {
    note("/chosen/linux,initrd-start and -end: no range; ignored");
    return;
  }
  const PhysRange initrd{PhysAddr::FromRaw(begin), end - begin};
  // Reservations inside the initrd are dropped, so it must not be larger than memory.
  if (!base::CoveredByRam(*info, initrd)) {
    note("/chosen/linux,initrd-start and -end: outside RAM; ignored");
    return;
  }
  info->initrd = initrd;
}

/// Both properties or none, one range each: that is how Linux reads them, too.
void ReadHandover(const DeviceTree& tree, int chosen, BootInfo* info, Note note) {
  const CellCounts cells = tree.RootCells();
  const PropertyValue root = tree.Property(chosen, "linux,kho-fdt");
  const PropertyValue scratch = tree.Property(chosen, "linux,kho-scratch");
  if (root.data == nullptr && scratch.data == nullptr) return;
  info->has_handover = true;
  const auto read = [cells](PropertyValue value, PhysRange* range) {
    return value.size == cells.bytes() && ReadRange(value, cells, 0, range);
  };
  PhysRange root_range;
  PhysRange scratch_range;
  if (read(root, &root_range) && read(scratch, &scratch_range)) {
    info->kho_root = root_range;
    info->kho_scratch = scratch_range;
  } else {
    note("/chosen/linux,kho-fdt and -scratch: not one range each");
  }
}

/// All of it or nothing: Linux would look for the memory map where it is not.
void ReadFirmware(const DeviceTree& tree, int chosen, BootInfo* info, Note note) {
  constexpr const char* kNames[] = {kEfiSystemTable, kEfiMapStart, kEfiMapSize, kEfiDescriptorSize,
                                    kEfiDescriptorVersion};
  constexpr size_t kCount = sizeof(kNames) / sizeof(kNames[0]);
  uint64_t values[kCount];
  for (size_t i = 0; i < kCount; ++i) {
    if (!ReadNumber(tree.Property(chosen, kNames[i]), &values[i])) {
      note("/chosen/linux,uefi-*: no system table and memory map; ignored");
      return;
    }
  }
  base::Firmware& firmware = info->firmware;
  firmware.system_table = PhysAddr::FromRaw(values[0]);
  firmware.map = {PhysAddr::FromRaw(values[1]), values[2]};
  firmware.descriptor_size = static_cast<uint32_t>(values[3]);
  firmware.descriptor_version = static_cast<uint32_t>(values[4]);
}

}  // namespace

void ReadBootInfo(const DeviceTree& tree, PhysAddr address, BootInfo* info, Note note) {
  info->parameters = address;
  info->device_tree = {address, tree.size()};
  if (!base::Keep(info, info->device_tree)) note("no room to keep the device tree");
  if (!tree.RootCells().AreValid()) {
    note("/: its cell counts are not 1 or 2; device tree ignored");
    return;
  }
  const int chosen = ReadNodes(tree, info, note);
  if (chosen >= 0) {
    if (tree.Property(chosen, kEfiSystemTable).size != 0) {
      info->protocol = "efi";
      ReadFirmware(tree, chosen, info, note);
    }
    ReadCommandLine(tree, chosen, info, note);
    ReadInitrd(tree, chosen, info, note);
    ReadHandover(tree, chosen, info, note);
  }
  ReadReservations(tree, info);
}

}  // namespace boot
