// SPDX-License-Identifier: BSD-3-Clause
//
// The boot parameters of the next kernel, in one piece and in this order:
//
//     boot_params | E820 node, if needed | KHO node | nodes handed on | UEFI memory map |
//     scratch array | command line
//
// Of UEFI's memory map go on, as at Linux's own kexec, what the firmware needs when it is called: a
// Linux would reserve boot services, and give them to its allocator afterwards.

#include <string.h>

#include "boot/firmware/uefi.h"
#include "boot/linux_image/x86_64/boot_params.h"
#include "kernel/kexec/linux_boot.h"
#include "khocore/abi/scratch.h"

namespace kexec {

using base::BootInfo;
using base::Firmware;
using base::MemoryRegion;
using base::SetupNode;
using boot::BootParams;
using boot::E820Entry;
using boot::KhoData;
using boot::kLoaderTypeUnassigned;
using boot::kSetupDataE820;
using boot::kSetupDataKho;
using boot::kSetupHeaderOffset;
using boot::SetupData;
using boot::SetupHeader;
using khocore::ErrorCode;
using khocore::Ok;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;

const uint64_t kParametersAlignment = khocore::kPageSize;

namespace {

/// Offsets from the start of the parameters.
struct Layout {
  uint64_t e820;
  uint64_t kho;
  uint64_t nodes;
  uint64_t firmware_map;
  uint64_t scratch;
  uint64_t command_line;
  uint64_t end;
};

size_t ExtendedRegions(const NextBoot& next) {
  const size_t count = next.info->region_count;
  return count > BootParams::kMaxE820Entries ? count - BootParams::kMaxE820Entries : 0;
}

/// Memory that this kernel keeps as it found it.
const void* Kept(PhysRange range) {
  // In the kernel a physical address outside the image is also a virtual one.
  return reinterpret_cast<const void*>(range.begin.raw());
}

/// Offsets of a node that is handed on.
struct NodePlace {
  uint64_t head;
  uint64_t buffer;
  uint64_t end;
};

NodePlace PlaceNode(const SetupNode& node, uint64_t at) {
  NodePlace place;
  place.head = khocore::AlignUp(at, alignof(SetupData));
  place.buffer =
      khocore::AlignUp(place.head + sizeof(SetupData) + node.payload.size, alignof(SetupData));
  place.end = place.buffer + node.buffer.size;
  return place;
}

uint64_t EndOfNodes(const BootInfo& info, uint64_t at) {
  for (size_t i = 0; i < info.setup_node_count; ++i) at = PlaceNode(info.setup_nodes[i], at).end;
  return at;
}

/// Copies the descriptors that go on to `to`, or only counts them when it is null. Returns their
/// bytes.
uint64_t CopyFirmwareMap(const Firmware& firmware, uint8_t* to) {
  if (firmware.system_table.is_null()) return 0;
  const auto* const map = static_cast<const uint8_t*>(Kept(firmware.map));
  uint64_t bytes = 0;
  boot::UefiDescriptor descriptor;
  for (uint64_t i = 0; boot::ReadDescriptor(firmware, map, i, &descriptor); ++i) {
    if (!descriptor.IsRuntime()) continue;
    const uint64_t size = firmware.descriptor_size;
    if (to != nullptr) memcpy(to + bytes, map + i * size, size);
    bytes += size;
  }
  return bytes;
}

Layout LayOut(const NextBoot& next) {
  const size_t extended = ExtendedRegions(next);
  Layout layout;
  layout.e820 = sizeof(BootParams);
  layout.kho = layout.e820;
  if (extended != 0) layout.kho += sizeof(SetupData) + extended * sizeof(E820Entry);
  layout.kho = khocore::AlignUp(layout.kho, alignof(SetupData));
  layout.nodes = layout.kho;
  if (!next.kho_root.is_null()) layout.nodes += sizeof(SetupData) + sizeof(KhoData);
  layout.firmware_map =
      khocore::AlignUp(EndOfNodes(*next.info, layout.nodes), alignof(boot::UefiDescriptor));
  layout.scratch =
      khocore::AlignUp(layout.firmware_map + CopyFirmwareMap(next.info->firmware, nullptr),
                       alignof(khocore::abi::ScratchArea));
  layout.command_line = layout.scratch;
  if (!next.kho_root.is_null()) {
    layout.command_line += next.scratch.size * sizeof(khocore::abi::ScratchArea);
  }
  layout.end = layout.command_line + strlen(next.command_line) + 1;
  return layout;
}

uint32_t Low(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t High(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

E820Entry EntryOf(const MemoryRegion& region) {
  return {region.range.begin.raw(), region.range.size, static_cast<uint32_t>(region.type)};
}

/// The header fields of the image, as far as the image says that it has them.
void CopySetupHeader(Span<const uint8_t> image, BootParams* params) {
  constexpr size_t kJumpEnd = 0x202;
  size_t end = kJumpEnd + image[kSetupHeaderOffset + offsetof(SetupHeader, jump_offset)];
  constexpr size_t kLimit = kSetupHeaderOffset + sizeof(SetupHeader);
  if (end > kLimit) end = kLimit;
  memcpy(&params->header, image.data + kSetupHeaderOffset, end - kSetupHeaderOffset);
}

void WriteMemoryMap(const NextBoot& next, BootParams* params) {
  const size_t count = next.info->region_count - ExtendedRegions(next);
  for (size_t i = 0; i < count; ++i) params->e820[i] = EntryOf(next.info->regions[i]);
  params->e820_entries = static_cast<uint8_t>(count);
}

/// Writes parameters into a buffer for use at another address.
class Writer {
 public:
  Writer(uint8_t* buffer, PhysAddr destination) : buffer_(buffer), destination_(destination) {}

  uint64_t AddressAt(uint64_t offset) const { return (destination_ + offset).raw(); }
  void Put(uint64_t offset, const void* bytes, size_t size) {
    memcpy(buffer_ + offset, bytes, size);
  }
  /// Writes a node's head; the last one written is the first of the list.
  void PutNode(uint64_t offset, uint32_t type, size_t length) {
    const SetupData node{first_, type, static_cast<uint32_t>(length)};
    Put(offset, &node, sizeof(node));
    first_ = AddressAt(offset);
  }
  uint64_t first_node() const { return first_; }

 private:
  uint8_t* buffer_;
  PhysAddr destination_;
  uint64_t first_ = 0;
};

void WriteExtendedMemoryMap(const NextBoot& next, const Layout& layout, Writer& writer) {
  const size_t count = ExtendedRegions(next);
  if (count == 0) return;
  writer.PutNode(layout.e820, kSetupDataE820, count * sizeof(E820Entry));
  for (size_t i = 0; i < count; ++i) {
    const E820Entry entry = EntryOf(next.info->regions[BootParams::kMaxE820Entries + i]);
    writer.Put(layout.e820 + sizeof(SetupData) + i * sizeof(entry), &entry, sizeof(entry));
  }
}

/// The last node first, so that they stand in the order in which they came.
void WriteNodes(const NextBoot& next, const Layout& layout, Writer& writer) {
  const BootInfo& info = *next.info;
  for (size_t i = info.setup_node_count; i-- > 0;) {
    const SetupNode& node = info.setup_nodes[i];
    uint64_t at = layout.nodes;
    for (size_t k = 0; k < i; ++k) at = PlaceNode(info.setup_nodes[k], at).end;
    const NodePlace place = PlaceNode(node, at);
    const uint64_t payload = place.head + sizeof(SetupData);
    writer.PutNode(place.head, node.type, node.payload.size);
    writer.Put(payload, Kept(node.payload), node.payload.size);
    if (node.buffer.size == 0) continue;
    const uint64_t buffer = writer.AddressAt(place.buffer);
    writer.Put(place.buffer, Kept(node.buffer), node.buffer.size);
    writer.Put(payload + node.pointer, &buffer, sizeof(buffer));
  }
}

void WriteFirmware(const NextBoot& next, const Layout& layout, uint8_t* buffer,
                   PhysAddr destination, BootParams* params) {
  const Firmware& firmware = next.info->firmware;
  const uint64_t bytes = CopyFirmwareMap(firmware, buffer + layout.firmware_map);
  if (bytes == 0) return;  // nothing to call
  const uint64_t table = firmware.system_table.raw();
  const uint64_t map = (destination + layout.firmware_map).raw();
  params->efi = {boot::kEfiLoader64,
                 Low(table),
                 firmware.descriptor_size,
                 firmware.descriptor_version,
                 Low(map),
                 Low(bytes),
                 High(table),
                 High(map)};
  params->secure_boot = firmware.secure_boot;
}

void WriteHandover(const NextBoot& next, const Layout& layout, Writer& writer) {
  if (next.kho_root.is_null()) return;
  const KhoData kho{next.kho_root.raw(), khocore::kPageSize, writer.AddressAt(layout.scratch),
                    next.scratch.size * sizeof(khocore::abi::ScratchArea)};
  writer.PutNode(layout.kho, kSetupDataKho, sizeof(kho));
  writer.Put(layout.kho + sizeof(SetupData), &kho, sizeof(kho));
  for (size_t i = 0; i < next.scratch.size; ++i) {
    const khocore::abi::ScratchArea area{next.scratch[i].begin.raw(), next.scratch[i].size};
    writer.Put(layout.scratch + i * sizeof(area), &area, sizeof(area));
  }
}

}  // namespace

uint64_t ParametersSize(const NextBoot& next) {
  return khocore::AlignUp(LayOut(next).end, khocore::kPageSize);
}

khocore::Status BuildParameters(const NextBoot& next, Span<uint8_t> buffer, PhysAddr destination) {
  const Layout layout = LayOut(next);
  if (buffer.size < layout.end) {
    return khocore::Error{ErrorCode::kNoSpace, destination, buffer.size, layout.end};
  }
  BootParams params{};
  CopySetupHeader(next.image_file, &params);
  const uint64_t command_line_length = strlen(next.command_line);
  if (command_line_length > params.header.command_line_size) {
    return khocore::Error{ErrorCode::kNoSpace, destination, command_line_length,
                          params.header.command_line_size};
  }

  Writer writer(buffer.data, destination);
  WriteMemoryMap(next, &params);
  WriteNodes(next, layout, writer);
  WriteFirmware(next, layout, buffer.data, destination, &params);
  WriteHandover(next, layout, writer);
  WriteExtendedMemoryMap(next, layout, writer);
  writer.Put(layout.command_line, next.command_line, command_line_length + 1);

  params.acpi_rsdp = next.info->rsdp.raw();
  params.header.loader_type = kLoaderTypeUnassigned;
  params.header.setup_data = writer.first_node();
  const uint64_t command_line = writer.AddressAt(layout.command_line);
  params.header.command_line = Low(command_line);
  params.command_line_high = High(command_line);
  params.header.ramdisk_image = Low(next.initrd.begin.raw());
  params.ramdisk_image_high = High(next.initrd.begin.raw());
  params.header.ramdisk_size = Low(next.initrd.size);
  params.ramdisk_size_high = High(next.initrd.size);
  writer.Put(0, &params, sizeof(params));
  return Ok{};
}

}  // namespace kexec
