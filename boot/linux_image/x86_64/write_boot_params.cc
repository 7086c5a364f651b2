// SPDX-License-Identifier: BSD-3-Clause
//
// The boot parameters of the next kernel, in one piece and in this order:
//
//     boot_params | E820 node, if needed | KHO node | scratch array | command line

#include <string.h>

#include "boot/linux_image/x86_64/boot_params.h"
#include "kernel/kexec/linux_boot.h"
#include "khocore/abi/scratch.h"

namespace kexec {

using base::MemoryRegion;
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
using khocore::Span;

const uint64_t kParametersAlignment = khocore::kPageSize;

namespace {

/// Offsets from the start of the parameters.
struct Layout {
  uint64_t e820;
  uint64_t kho;
  uint64_t scratch;
  uint64_t command_line;
  uint64_t end;
};

size_t ExtendedRegions(const NextBoot& next) {
  const size_t count = next.info->region_count;
  return count > BootParams::kMaxE820Entries ? count - BootParams::kMaxE820Entries : 0;
}

Layout LayOut(const NextBoot& next) {
  const size_t extended = ExtendedRegions(next);
  Layout layout;
  layout.e820 = sizeof(BootParams);
  layout.kho = layout.e820;
  if (extended != 0) layout.kho += sizeof(SetupData) + extended * sizeof(E820Entry);
  layout.kho = khocore::AlignUp(layout.kho, alignof(SetupData));
  layout.scratch = layout.kho;
  if (!next.kho_root.is_null()) layout.scratch += sizeof(SetupData) + sizeof(KhoData);
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
