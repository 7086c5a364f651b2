// SPDX-License-Identifier: BSD-3-Clause
#include "boot/linux_image/x86_64/read_boot_params.h"

namespace boot {

namespace {

using base::BootInfo;
using base::BootReader;
using base::CoveredByRam;
using base::MemoryRegion;
using base::MemoryType;
using khocore::PhysAddr;
using khocore::PhysRange;

/// Longer chains are taken for cycles. Linux makes chains of about five nodes.
constexpr unsigned kMaxSetupData = 64;
/// Linux's largest node holds random numbers or an EFI map; a device tree is below 2 MiB.
constexpr uint32_t kMaxSetupDataBytes = 2 << 20;

uint64_t Join(uint32_t high, uint32_t low) { return uint64_t{high} << 32 | low; }

PhysRange Range(uint64_t begin, uint64_t size) { return {PhysAddr::FromRaw(begin), size}; }

void ReadMemoryMap(const BootParams& params, const BootReader& reader, BootInfo* info) {
  size_t count = params.e820_entries;
  if (count > BootParams::kMaxE820Entries) {
    reader.Ignore("boot_params has too many memory regions:", count);
    count = BootParams::kMaxE820Entries;
  }
  for (size_t i = 0; i < count; ++i) {
    const boot::E820Entry& entry = params.e820[i];
    base::AddRegion(info, entry.address, entry.size, entry.type);
  }
}

void ReadExtendedMemoryMap(const void* bytes, uint32_t length, BootInfo* info) {
  const auto* from = static_cast<const char*>(bytes);
  for (uint32_t at = 0; length - at >= sizeof(boot::E820Entry); at += sizeof(boot::E820Entry)) {
    boot::E820Entry entry;
    __builtin_memcpy(&entry, from + at, sizeof(entry));
    base::AddRegion(info, entry.address, entry.size, entry.type);
  }
}

void ReadKho(uint64_t payload, uint32_t length, const BootReader& reader, BootInfo* info) {
  if (info->has_handover) {
    reader.Ignore("second handover node at", payload);
    return;
  }
  info->has_handover = true;
  boot::KhoData kho;
  if (length < sizeof(kho) || !reader.Read(payload, &kho)) {
    reader.Ignore("handover node is too short at", payload);
    return;
  }
  info->kho_root = Range(kho.fdt_address, kho.fdt_size);
  info->kho_scratch = Range(kho.scratch_address, kho.scratch_size);
}

bool IsHandedOn(uint32_t type) {
  // A seed is good for one kernel. Linux makes a new one at its kexec, or none as long as it has no
  // random numbers; there are none here. The others are written anew.
  return type != boot::kSetupDataE820 && type != boot::kSetupDataSeed &&
         type != boot::kSetupDataKho;
}

/// The memory that a payload points to, if it is RAM and would be overwritten.
void FindBuffer(const BootReader& reader, base::SetupNode* node) {
  const uint64_t at = node->payload.begin.raw();
  PhysRange buffer;
  uint32_t pointer = 0;
  if (node->type == boot::kSetupDataIma) {
    boot::ImaData ima;
    if (node->payload.size < sizeof(ima) || !reader.Read(at, &ima)) return;
    buffer = Range(ima.address, ima.size);
    pointer = offsetof(boot::ImaData, address);
  } else if (node->type == boot::kSetupDataIndirect) {
    boot::IndirectData indirect;
    if (node->payload.size < sizeof(indirect) || !reader.Read(at, &indirect)) return;
    buffer = Range(indirect.address, indirect.length);
    pointer = offsetof(boot::IndirectData, address);
  } else {
    return;
  }
  if (buffer.size == 0 || buffer.size > kMaxSetupDataBytes ||
      reader.Find(buffer.begin.raw(), buffer.size) == nullptr) {
    return;
  }
  node->buffer = buffer;
  node->pointer = pointer;
}

/// What the next kernel gets as well, at most `kMaxSetupDataBytes` in all.
void HandOn(uint32_t type, PhysRange payload, const BootReader& reader, BootInfo* info) {
  if (!IsHandedOn(type)) return;
  base::SetupNode node{type, payload, {}, 0};
  FindBuffer(reader, &node);
  uint64_t bytes = node.payload.size + node.buffer.size;
  for (size_t i = 0; i < info->setup_node_count; ++i) {
    bytes += info->setup_nodes[i].payload.size + info->setup_nodes[i].buffer.size;
  }
  if (bytes > kMaxSetupDataBytes || info->setup_node_count == BootInfo::kMaxSetupNodes ||
      !base::Keep(info, node.buffer)) {
    reader.Ignore("too much setup_data, not handed on from", payload.begin.raw());
    return;
  }
  if (type == boot::kSetupDataEfi && payload.size >= sizeof(boot::EfiSetupData)) {
    boot::EfiSetupData efi;
    if (reader.Read(payload.begin.raw(), &efi)) {
      info->firmware.tables = PhysAddr::FromRaw(efi.tables);
    }
  }
  info->setup_nodes[info->setup_node_count++] = node;
}

void ReadSetupData(uint64_t first, const BootReader& reader, BootInfo* info) {
  uint64_t address = first;
  for (unsigned i = 0; address != 0; ++i) {
    boot::SetupData node;
    if (i == kMaxSetupData) {
      reader.Ignore("setup_data is a cycle, stopped at", address);
      return;
    }
    if (!reader.Read(address, &node)) {
      reader.Ignore("setup_data outside RAM at", address);
      return;
    }
    const uint64_t payload = address + sizeof(node);
    const void* const bytes =
        node.length > kMaxSetupDataBytes ? nullptr : reader.Find(payload, node.length);
    if (bytes == nullptr) {
      reader.Ignore("setup_data of impossible length at", address);
      if (node.type == boot::kSetupDataKho) info->has_handover = true;
    } else {
      if (base::Keep(info, Range(address, sizeof(node) + node.length))) {
        HandOn(node.type, Range(payload, node.length), reader, info);
      } else {
        reader.Ignore("no room to keep the memory at", address);
      }
      if (node.type == boot::kSetupDataE820) {
        ReadExtendedMemoryMap(bytes, node.length, info);
      } else if (node.type == boot::kSetupDataKho) {
        ReadKho(payload, node.length, reader, info);
      }
    }
    address = node.next;
  }
}

void ReadFirmware(const BootParams& params, BootInfo* info) {
  const EfiInfo& efi = params.efi;
  if (efi.loader_signature != kEfiLoader64) return;
  base::Firmware& firmware = info->firmware;
  firmware.system_table = PhysAddr::FromRaw(Join(efi.system_table_high, efi.system_table));
  firmware.map = Range(Join(efi.memory_map_high, efi.memory_map), efi.memory_map_size);
  firmware.descriptor_size = efi.descriptor_size;
  firmware.descriptor_version = efi.descriptor_version;
  firmware.secure_boot = params.secure_boot;
}

void ReadInitrd(const BootParams& params, const BootReader& reader, BootInfo* info) {
  const PhysRange initrd = Range(Join(params.ramdisk_image_high, params.header.ramdisk_image),
                                 Join(params.ramdisk_size_high, params.header.ramdisk_size));
  if (initrd.size == 0) return;
  if (reader.Find(initrd.begin.raw(), initrd.size) == nullptr) {
    reader.Ignore("initrd outside RAM at", initrd.begin.raw());
    return;
  }
  info->initrd = initrd;
}

}  // namespace

void ReadBootParams(const BootParams& params, uint64_t address, const BootReader& reader,
                    BootInfo* info) {
  info->protocol = params.efi.loader_signature == boot::kEfiLoader64 ? "efi" : "linux";
  info->parameters = PhysAddr::FromRaw(address);
  info->rsdp = PhysAddr::FromRaw(params.acpi_rsdp);
  ReadMemoryMap(params, reader, info);
  base::Keep(info, Range(address, sizeof(params)), reader);
  ReadFirmware(params, info);
  ReadSetupData(params.header.setup_data, reader, info);
  const uint64_t command_line = Join(params.command_line_high, params.header.command_line);
  if (command_line != 0) base::ReadCommandLine(info, command_line, reader);
  ReadInitrd(params, reader, info);
}

bool MayBeRam(const BootInfo& info, PhysRange range) {
  if (CoveredByRam(info, range)) return true;
  if (info.region_count != BootParams::kMaxE820Entries || range.Wraps()) return false;
  for (size_t i = 0; i < info.region_count; ++i) {
    const MemoryRegion& region = info.regions[i];
    if (region.type != MemoryType::kRam && region.range.Overlaps(range)) return false;
  }
  return true;
}

}  // namespace boot
