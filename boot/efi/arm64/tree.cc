// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/arm64/tree.h"

#include <libfdt.h>
#include <string.h>

#include "boot/linux_image/arm64/device_tree_names.h"
#include "boot/linux_image/arm64/tree_editor.h"
#include "kernel/base/format.h"
#include "kernel/base/memory_nodes.h"

namespace efi {

using base::BootInfo;
using base::CellCounts;
using base::DeviceTree;
using base::MemoryRegion;
using base::MemoryType;
using boot::TreeEditor;
using khocore::Error;
using khocore::ErrorCode;
using khocore::Ok;
using khocore::Span;
using khocore::Status;

namespace {

constexpr uint64_t kRangeBytes = 16;
/// A node for a reserved range: its name, three properties and their padding.
constexpr uint64_t kNodeBytes = 128;
/// More than what is new in /chosen and the heads of new nodes take, with the names of properties.
constexpr uint64_t kOtherBytes = 2048;

/// The first node that the kernel takes for memory, or a negative number.
int FindMemory(const void* fdt) {
  int node = fdt_first_subnode(fdt, 0);
  for (; node >= 0; node = fdt_next_subnode(fdt, node)) {
    int size = 0;
    const void* const type = fdt_getprop(fdt, node, "device_type", &size);
    const base::PropertyValue value{static_cast<const uint8_t*>(type),
                                    type != nullptr ? static_cast<size_t>(size) : 0};
    if (base::HasString(value, "memory")) break;
  }
  return node;
}

/// A child without ranges of the firmware's, in use whatever the firmware says of it.
int FreshChild(int parent, const char* name, TreeEditor* editor) {
  const int node = editor->Child(parent, name);
  if (node < 0) return node;
  editor->Delete(node, "reg");
  editor->Delete(node, "status");
  return node;
}

/// The NUMA nodes of memory; none when they contradict each other.
base::NodeMap NodesOf(const DeviceTree& tree) {
  base::NodeMap nodes;
  bool fit = true;
  tree.Walk([&](const base::TreeNode& node) {
    fit = fit && base::AddMemoryNode(tree, node, &nodes, [](const char*) {});
  });
  return fit ? nodes : base::NodeMap();
}

/// Writes RAM that lies in `part` into the node `name`. Returns its offset, or a negative number.
int WriteMemory(const BootInfo& info, khocore::PhysRange part, const char* name,
                TreeEditor* editor) {
  const int memory = FreshChild(0, name, editor);
  if (memory < 0) return memory;
  editor->SetString(memory, "device_type", "memory");
  for (size_t i = 0; i < info.region_count; ++i) {
    const MemoryRegion& region = info.regions[i];
    if (region.type != MemoryType::kRam || !region.range.Overlaps(part)) continue;
    const uint64_t begin =
        region.range.begin < part.begin ? part.begin.raw() : region.range.begin.raw();
    const uint64_t end =
        part.end() < region.range.end() ? part.end().raw() : region.range.end().raw();
    editor->AppendRange(memory, "reg", {khocore::PhysAddr::FromRaw(begin), end - begin});
  }
  return memory;
}

/// The firmware has allocated memory since it wrote the tree, so its memory map counts instead.
void ReplaceMemory(const BootInfo& info, const base::NodeMap& nodes, TreeEditor* editor) {
  for (int node = FindMemory(editor->fdt()); node >= 0; node = FindMemory(editor->fdt())) {
    if (editor->Check(fdt_del_node(editor->fdt(), node)) < 0) return;
  }
  for (int i = fdt_num_mem_rsv(editor->fdt()); i-- > 0;) {
    editor->Check(fdt_del_mem_rsv(editor->fdt(), i));
  }
  const bool is_one = nodes.IsInOne({{}, khocore::AlignDown(~uint64_t{0}, khocore::kPageSize)});
  nodes.ForEachPart([&](khocore::PhysRange part, uint32_t node) {
    char name[32] = "memory";
    if (!is_one) base::FormatTo(name, sizeof(name), "memory@%lx", part.begin.raw());
    const int memory = WriteMemory(info, part, name, editor);
    if (memory >= 0 && !is_one) editor->SetU32(memory, "numa-node-id", node);
  });
}

void ReserveRuntimeServices(const BootInfo& info, TreeEditor* editor) {
  const int parent = editor->Child(0, "reserved-memory");
  if (parent < 0) return;
  editor->SetU32(parent, "#address-cells", static_cast<uint32_t>(editor->cells().address));
  editor->SetU32(parent, "#size-cells", static_cast<uint32_t>(editor->cells().size));
  editor->SetEmpty(parent, "ranges");
  for (size_t i = 0; i < info.region_count; ++i) {
    const MemoryRegion& region = info.regions[i];
    if (region.type != MemoryType::kRuntimeServices) continue;
    char name[48];
    base::FormatTo(name, sizeof(name), "efi-runtime-services@%lx", region.range.begin.raw());
    const int node = FreshChild(parent, name, editor);
    if (node < 0) return;
    editor->SetString(node, "compatible", boot::kRuntimeServicesCompatible);
    editor->AppendRange(node, "reg", region.range);
    editor->SetEmpty(node, "no-map");
  }
}

void WriteChosen(const kexec::NextBoot& next, const Firmware& firmware, TreeEditor* editor) {
  const int chosen = editor->Child(0, "chosen");
  if (chosen < 0) return;
  const MemoryMap& map = firmware.map;
  editor->SetString(chosen, "bootargs", next.command_line);
  editor->SetU64(chosen, "linux,initrd-start", next.initrd.begin.raw());
  editor->SetU64(chosen, "linux,initrd-end", next.initrd.end().raw());
  editor->SetU64(chosen, boot::kEfiSystemTable, firmware.system_table);
  editor->SetU64(chosen, boot::kEfiMapStart, reinterpret_cast<uint64_t>(map.buffer.data));
  editor->SetU32(chosen, boot::kEfiMapSize, static_cast<uint32_t>(map.bytes));
  editor->SetU32(chosen, boot::kEfiDescriptorSize, static_cast<uint32_t>(map.descriptor_size));
  editor->SetU32(chosen, boot::kEfiDescriptorVersion, map.version);
  // Without it Linux knows no UEFI.
  editor->SetU32(chosen, "linux,uefi-secure-boot", next.info->firmware.secure_boot);
}

}  // namespace

uint64_t TreeSize(uint64_t tree_bytes, const char* command_line) {
  const uint64_t bytes = tree_bytes + strlen(command_line) + kOtherBytes +
                         BootInfo::kMaxRegions * (kNodeBytes + kRangeBytes) +
                         base::NodeMap::kCapacity * (kNodeBytes + kRangeBytes);
  return bytes < DeviceTree::kMaxSize ? bytes : DeviceTree::kMaxSize;
}

Status BuildTree(const DeviceTree& tree, const kexec::NextBoot& next, const Firmware& firmware,
                 Span<uint8_t> buffer) {
  const CellCounts cells = tree.RootCells();
  if (!cells.AreValid()) return Error{ErrorCode::kFdtStructure, {}};
  TreeEditor editor(buffer.data, cells);
  editor.Check(fdt_open_into(tree.blob(), buffer.data, static_cast<int>(buffer.size)));
  if (editor.error() == 0) ReplaceMemory(*next.info, NodesOf(tree), &editor);
  if (editor.error() == 0) ReserveRuntimeServices(*next.info, &editor);
  if (editor.error() == 0) WriteChosen(next, firmware, &editor);
  if (editor.error() == 0) editor.Check(fdt_pack(buffer.data));
  if (editor.error() == 0) return Ok{};
  const bool full = editor.error() == -FDT_ERR_NOSPACE;
  return Error{full ? ErrorCode::kNoSpace : ErrorCode::kFdtStructure, {}, buffer.size};
}

}  // namespace efi
