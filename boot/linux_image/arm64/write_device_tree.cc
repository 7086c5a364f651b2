// SPDX-License-Identifier: BSD-3-Clause
#include <libfdt.h>
#include <string.h>

#include "boot/linux_image/arm64/device_tree_names.h"
#include "boot/linux_image/arm64/tree_editor.h"
#include "kernel/base/device_tree.h"
#include "kernel/kexec/linux_boot.h"
#include "khocore/abi/scratch.h"

// The parameters are a device tree, at most 2 MiB in a 2 MiB block, and behind it the scratch
// array. The tree is the one this kernel got with /chosen rewritten, as Linux's drivers/of/kexec.c
// does it: what is not named here goes on, UEFI's system table and the place of its memory map,
// too.

namespace kexec {

using base::BootInfo;
using base::CellCounts;
using base::DeviceTree;
using boot::TreeEditor;
using khocore::AlignDown;
using khocore::AlignUp;
using khocore::Error;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::Ok;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;
using khocore::Span;
using khocore::Status;
using khocore::WholePages;

extern const uint64_t kParametersAlignment = DeviceTree::kMaxSize;

namespace {

/// More than the properties of /chosen take that may be new, with their names and padding, and a
/// reservation.
constexpr uint64_t kRoomForChosen = 1024;
constexpr uint64_t kArrayAlignment = 16;

/// Properties with addresses of an earlier kernel, or good for one boot only.
constexpr const char* kDropped[] = {
    "linux,initrd-start", "linux,initrd-end",       "linux,kho-fdt",
    "linux,kho-scratch",  "linux,elfcorehdr",       "linux,usable-memory-range",
    "kaslr-seed",         "linux,ima-kexec-buffer", "rng-seed",
};
/// Those of a firmware whose memory map this kernel could not read.
constexpr const char* kOfFirmware[] = {
    boot::kEfiSystemTable,    boot::kEfiMapStart,          boot::kEfiMapSize,
    boot::kEfiDescriptorSize, boot::kEfiDescriptorVersion,
};

Result<DeviceTree> OpenTree(const BootInfo& info) {
  // In the kernel a physical address outside the image is also a virtual one.
  return DeviceTree::Open(reinterpret_cast<const void*>(info.device_tree.begin.raw()),
                          info.device_tree.size);
}

/// Where the last block of the tree ends. Behind it may be free room.
uint64_t UsedBytes(const DeviceTree& tree) {
  const void* const fdt = tree.blob();
  const auto reservations = static_cast<uint64_t>(fdt_num_mem_rsv(fdt)) + 1;
  const uint64_t ends[] = {
      fdt_off_mem_rsvmap(fdt) + reservations * sizeof(fdt_reserve_entry),
      uint64_t{fdt_off_dt_struct(fdt)} + fdt_size_dt_struct(fdt),
      uint64_t{fdt_off_dt_strings(fdt)} + fdt_size_dt_strings(fdt),
  };
  uint64_t used = 0;
  for (const uint64_t end : ends) used = end > used ? end : used;
  return used;
}

/// Copies `tree` into `size` bytes at `to` and leaves what is free there to it. Returns libfdt's
/// error. libfdt alone would also copy the free room, of which QEMU's tree has nearly 1 MiB.
int CopyTree(const DeviceTree& tree, void* to, uint64_t size) {
  const int result = fdt_open_into(tree.blob(), to, static_cast<int>(size));
  if (result != -FDT_ERR_NOSPACE) return result;
  const uint64_t used = UsedBytes(tree);
  if (used > size) return result;
  memcpy(to, tree.blob(), used);
  fdt_set_totalsize(to, static_cast<uint32_t>(used));
  return fdt_open_into(to, to, static_cast<int>(size));
}

uint64_t ArrayBytes(const NextBoot& next) {
  return next.scratch.size * sizeof(khocore::abi::ScratchArea);
}

/// Reservations of the initrd and the device tree that this kernel was started with: both are used
/// up, and would be lost to every later kernel.
void DropOldReservations(const BootInfo& info, TreeEditor* editor) {
  for (int i = fdt_num_mem_rsv(editor->fdt()); i-- > 0;) {
    uint64_t begin = 0;
    uint64_t size = 0;
    editor->Check(fdt_get_mem_rsv(editor->fdt(), i, &begin, &size));
    const PhysRange entry{PhysAddr::FromRaw(begin), size};
    bool used_up = WholePages(info.initrd).Contains(entry);
    for (size_t k = 0; k < info.keep_count; ++k) used_up |= info.keep[k].Contains(entry);
    if (used_up) editor->Check(fdt_del_mem_rsv(editor->fdt(), i));
  }
}

size_t CountHoles(const BootInfo& info) {
  size_t count = 0;
  for (size_t i = 0; i < info.region_count; ++i) {
    count += info.regions[i].type == base::MemoryType::kUnusable ? 1 : 0;
  }
  return count;
}

/// What no tree says of RAM. The next kernel finds it reserved.
void ReserveHoles(const BootInfo& info, TreeEditor* editor) {
  for (size_t i = 0; i < info.region_count; ++i) {
    const base::MemoryRegion& region = info.regions[i];
    if (region.type != base::MemoryType::kUnusable) continue;
    editor->Check(fdt_add_mem_rsv(editor->fdt(), region.range.begin.raw(), region.range.size));
  }
}

/// A Linux without CONFIG_EFI hands the map on and does not keep it.
void ReserveFirmwareMap(const BootInfo& info, TreeEditor* editor) {
  if (info.firmware.system_table.is_null()) return;
  const PhysRange map = WholePages(info.firmware.map);
  editor->Check(fdt_add_mem_rsv(editor->fdt(), map.begin.raw(), map.size));
}

void RewriteChosen(const NextBoot& next, PhysRange array, TreeEditor* editor) {
  const int chosen = editor->Child(0, "chosen");
  if (chosen < 0) return;
  for (const char* const name : kDropped) editor->Delete(chosen, name);
  if (next.info->firmware.system_table.is_null()) {
    for (const char* const name : kOfFirmware) editor->Delete(chosen, name);
  }
  editor->SetString(chosen, "bootargs", next.command_line);
  editor->SetEmpty(chosen, "linux,booted-from-kexec");
  if (next.initrd.size != 0) {
    editor->SetU64(chosen, "linux,initrd-start", next.initrd.begin.raw());
    editor->SetU64(chosen, "linux,initrd-end", next.initrd.end().raw());
  }
  if (next.kho_root.is_null()) return;
  editor->SetRange(chosen, "linux,kho-fdt", {next.kho_root, kPageSize});
  editor->SetRange(chosen, "linux,kho-scratch", array);
}

void WriteArray(const NextBoot& next, uint8_t* to) {
  for (const PhysRange& range : next.scratch) {
    const khocore::abi::ScratchArea area{range.begin.raw(), range.size};
    memcpy(to, &area, sizeof(area));
    to += sizeof(area);
  }
}

}  // namespace

uint64_t ParametersSize(const NextBoot& next) {
  const Result<DeviceTree> tree = OpenTree(*next.info);
  if (!tree.ok()) return kRoomForChosen;
  const uint64_t holes = CountHoles(*next.info) * sizeof(fdt_reserve_entry);
  return AlignUp(UsedBytes(tree.value()) + strlen(next.command_line) + kRoomForChosen + holes,
                 kArrayAlignment) +
         ArrayBytes(next);
}

Status BuildParameters(const NextBoot& next, Span<uint8_t> buffer, PhysAddr destination) {
  const Result<DeviceTree> tree = OpenTree(*next.info);
  if (!tree.ok()) {
    return Error{ErrorCode::kFdtStructure, next.info->device_tree.begin, tree.error().found};
  }
  const CellCounts cells = tree.value().RootCells();
  if (!cells.AreValid()) {
    return Error{ErrorCode::kFdtStructure, next.info->device_tree.begin};
  }
  const uint64_t array_bytes = ArrayBytes(next);
  const uint64_t most = buffer.size < DeviceTree::kMaxSize ? buffer.size : DeviceTree::kMaxSize;
  if (most < array_bytes + kArrayAlignment) return Error{ErrorCode::kNoSpace, destination, most};
  const uint64_t array_offset = AlignDown(most - array_bytes, kArrayAlignment);

  TreeEditor editor(buffer.data, cells);
  editor.Check(CopyTree(tree.value(), buffer.data, array_offset));
  if (editor.error() == 0) {
    DropOldReservations(*next.info, &editor);
    ReserveHoles(*next.info, &editor);
    ReserveFirmwareMap(*next.info, &editor);
    RewriteChosen(next, {destination + array_offset, array_bytes}, &editor);
  }
  if (editor.error() == 0) editor.Check(fdt_pack(buffer.data));
  if (editor.error() != 0) {
    const bool full = editor.error() == -FDT_ERR_NOSPACE;
    return Error{full ? ErrorCode::kNoSpace : ErrorCode::kFdtStructure, destination, most};
  }
  const uint64_t tree_bytes = fdt_totalsize(buffer.data);
  memset(buffer.data + tree_bytes, 0, array_offset - tree_bytes);
  WriteArray(next, buffer.data + array_offset);
  return Ok{};
}

}  // namespace kexec
