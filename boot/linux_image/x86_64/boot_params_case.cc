// SPDX-License-Identifier: BSD-3-Clause
//
// An input is a `Head` and the memory from one page behind boot_params on.

#include <string.h>

#include <iterator>
#include <string>

#include "boot/linux_image/x86_64/boot_params.h"
#include "boot/linux_image/x86_64/read_boot_params.h"
#include "kernel/base/testing/boot_info_check.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_bytes.h"
#include "khocore/testing/fuzz_case.h"

namespace {

using base::BootInfo;
using boot::BootParams;
using boot::E820Entry;
using boot::KhoData;
using boot::SetupData;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;

constexpr uint64_t kBase = 0x140000000;  // both halves of a split address count
constexpr uint64_t kMemory = kBase + khocore::kPageSize;
constexpr size_t kSomeEntries = 4;

struct __attribute__((packed)) Head {
  uint8_t e820_entries;
  E820Entry e820[kSomeEntries];  ///< the first of the table; the others are all like the last one
  uint64_t setup_data;
  uint64_t command_line;
  uint64_t initrd;
  uint64_t initrd_size;
  uint64_t rsdp;
  uint32_t loader_signature;
};

uint32_t Low(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t High(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

BootParams ParamsOf(const Head& head) {
  BootParams params{};
  memset(params.unused7, 0x11, sizeof(params.unused7));  // behind the table
  params.e820_entries = head.e820_entries;
  for (size_t i = 0; i < BootParams::kMaxE820Entries; ++i) {
    params.e820[i] = head.e820[i < kSomeEntries ? i : kSomeEntries - 1];
  }
  params.header.setup_data = head.setup_data;
  params.header.command_line = Low(head.command_line);
  params.command_line_high = High(head.command_line);
  params.header.ramdisk_image = Low(head.initrd);
  params.ramdisk_image_high = High(head.initrd);
  params.header.ramdisk_size = Low(head.initrd_size);
  params.ramdisk_size_high = High(head.initrd_size);
  params.acpi_rsdp = head.rsdp;
  params.efi.loader_signature = head.loader_signature;
  return params;
}

/// The input's memory.
class Memory {
 public:
  explicit Memory(Span<const uint8_t> bytes) : bytes_(bytes) {}

  PhysRange all() const { return {PhysAddr::FromRaw(kMemory), bytes_.size}; }
  const uint8_t* At(uint64_t address, uint64_t size) const {
    if (address < kMemory || address - kMemory > bytes_.size) return nullptr;
    return size <= bytes_.size - (address - kMemory) ? bytes_.data + (address - kMemory) : nullptr;
  }
  template <typename T>
  bool Read(uint64_t address, T* object) const {
    const uint8_t* const bytes = At(address, sizeof(T));
    if (bytes != nullptr) memcpy(object, bytes, sizeof(T));
    return bytes != nullptr;
  }

 private:
  Span<const uint8_t> bytes_;
};

bool IsKept(const BootInfo& info, PhysRange range) {
  for (size_t i = 0; i < info.keep_count; ++i) {
    if (info.keep[i].Contains(range)) return true;
  }
  return false;
}

/// What a reader that looks for one thing at a time makes of the list: all memory regions, and the
/// first handover.
void CheckSetupData(const BootParams& params, const Memory& memory, const BootInfo& info) {
  size_t regions = 0;
  const auto check_region = [&](const E820Entry& want) {
    if (want.size == 0 || ++regions > BootInfo::kMaxRegions) return;
    const base::MemoryRegion& got = info.regions[regions - 1];
    CASE_CHECK(got.range.begin.raw() == want.address && got.range.size == want.size);
    CASE_CHECK(static_cast<uint32_t>(got.type) == want.type);
  };
  for (size_t i = 0; i < params.e820_entries && i < BootParams::kMaxE820Entries; ++i) {
    check_region(params.e820[i]);
  }
  bool handover = false;
  KhoData kho{};
  SetupData node{};
  uint64_t at = params.header.setup_data;
  for (unsigned i = 0; i < 64 && at != 0 && memory.Read(at, &node); ++i, at = node.next) {
    const bool whole = memory.At(at + sizeof(node), node.length) != nullptr;
    if (node.type == boot::kSetupDataKho && !handover) {
      handover = true;
      if (whole && node.length >= sizeof(kho)) CASE_CHECK(memory.Read(at + sizeof(node), &kho));
    }
    const PhysRange all{PhysAddr::FromRaw(at), sizeof(node) + node.length};
    CASE_CHECK(!whole || info.keep_count == std::size(info.keep) || IsKept(info, all));
    if (node.type != boot::kSetupDataE820 || !whole) continue;
    for (uint32_t entry = 0; entry < node.length / sizeof(E820Entry); ++entry) {
      E820Entry region;
      CASE_CHECK(memory.Read(at + sizeof(node) + entry * sizeof(region), &region));
      check_region(region);
    }
  }
  CASE_CHECK(info.region_count + info.regions_dropped == regions);
  CASE_CHECK(info.setup_node_count <= std::size(info.setup_nodes));
  for (size_t i = 0; i < info.setup_node_count; ++i) {
    const base::SetupNode& handed_on = info.setup_nodes[i];
    CASE_CHECK(IsKept(info, handed_on.payload));
    CASE_CHECK(handed_on.buffer.size == 0 || IsKept(info, handed_on.buffer));
    CASE_CHECK(handed_on.buffer.size == 0 || handed_on.pointer + 8 <= handed_on.payload.size);
    CASE_CHECK(handed_on.type != boot::kSetupDataKho && handed_on.type != boot::kSetupDataE820);
  }
  CASE_CHECK(info.has_handover == handover);
  CASE_CHECK(info.kho_root.begin.raw() == kho.fdt_address && info.kho_root.size == kho.fdt_size);
  CASE_CHECK(info.kho_scratch.begin.raw() == kho.scratch_address &&
             info.kho_scratch.size == kho.scratch_size);
}

void CheckCommandLine(const Head& head, const Memory& memory, const BootInfo& info) {
  std::string want;
  const uint8_t* byte = nullptr;
  for (uint64_t at = head.command_line; at != 0; ++at) {
    byte = memory.At(at, 1);
    if (byte == nullptr || *byte == 0 || want.size() == sizeof(info.command_line) - 1) break;
    want += static_cast<char>(*byte);
  }
  const std::string got = info.command_line;
  // Pages are read as wholes, so less comes of one that ends early.
  CASE_CHECK(byte == nullptr ? want.starts_with(got) : got == want || want.starts_with(got));
  if (info.command_line_truncated) CASE_CHECK(got == want);
}

}  // namespace

bool fuzz::RunCase(Span<const uint8_t> input) {
  fuzz::Input bytes(input);
  const Head head = bytes.Take<Head>();
  const Memory memory(bytes.rest());
  const BootParams params = ParamsOf(head);
  auto map = [&](PhysRange range) -> const void* {
    return memory.At(range.begin.raw(), range.size);
  };
  size_t notes = 0;
  auto note = [&](const char* text, uint64_t) { notes += *text != '\0'; };
  static BootInfo static_info;
  BootInfo* const info = &static_info;
  *info = {};
  boot::ReadBootParams(params, kBase, base::BootReader(map, note), info);

  const PhysRange all{PhysAddr::FromRaw(kBase), khocore::kPageSize + memory.all().size};
  base::CheckBootInfo(*info, all);
  CASE_CHECK(info->keep_count != 0 || notes != 0);
  CASE_CHECK(strcmp(info->protocol, head.loader_signature == 0x34364c45 ? "efi" : "linux") == 0);
  CASE_CHECK(info->rsdp.raw() == head.rsdp && info->parameters.raw() == kBase);
  CheckSetupData(params, memory, *info);
  CheckCommandLine(head, memory, *info);
  const bool has_initrd = head.initrd_size != 0 && memory.At(head.initrd, head.initrd_size);
  CASE_CHECK(info->initrd.size == (has_initrd ? head.initrd_size : 0));

  for (const PhysRange range : {info->kho_root, memory.all()}) {
    const bool covered = base::CoveredByRam(*info, range);
    CASE_CHECK(!covered || boot::MayBeRam(*info, range));
    if (covered || !boot::MayBeRam(*info, range)) continue;
    for (size_t i = 0; i < info->region_count; ++i) {
      const auto& region = info->regions[i];
      CASE_CHECK(region.type == base::MemoryType::kRam || !region.range.Overlaps(range));
    }
  }
  return info->region_count != 0;
}

std::map<std::string, std::string> fuzz::Seeds() {
  const E820Entry ram{kBase, 0x100000, 1};
  const E820Entry reserved{0xf0000, 0x10000, 2};
  const Head plain{2, {ram, reserved, {}, {}}, 0, 0, 0, 0, 0xf0010, 0};
  std::string memory;

  Head all = plain;
  all.setup_data = kMemory + 0x20;
  all.command_line = kMemory + 0x100;
  all.initrd = kMemory;
  all.initrd_size = 0x10;
  all.loader_signature = boot::kEfiLoader64;
  Put(&memory, 0x20, SetupData{kMemory + 0x60, boot::kSetupDataKho, sizeof(KhoData)});
  Put(&memory, 0x30, KhoData{kBase + 0x3000, 0x1000, kBase + 0x4000, 0x10});
  Put(&memory, 0x60, SetupData{kMemory + 0xc0, boot::kSetupDataE820, 2 * sizeof(E820Entry)});
  Put(&memory, 0x70, reserved);
  Put(&memory, 0x84, E820Entry{kBase + 0x200000, 0x100000, 1});
  Put(&memory, 0xc0, SetupData{kMemory + 0xe0, boot::kSetupDataIma, 16});
  Put(&memory, 0xd0, boot::ImaData{kMemory, 0x20});
  Put(&memory, 0xe0, SetupData{0, 2, 8});
  memory.resize(0x100);
  memory += std::string("scenario=x generation=2\0", 24) + std::string(khocore::kPageSize, '\0');

  Head across = plain;
  across.setup_data = kMemory + 0xff0;
  std::string two_pages(khocore::kPageSize + 8, '\0');
  Put(&two_pages, 0xff0, SetupData{0, 9, 8});

  Head many = plain;
  many.e820_entries = 129;

  Head full = all;
  full.e820_entries = 128;
  full.e820[2] = {kBase + 0x300000, 0x1000, 2};
  full.e820[3] = ram;
  Head open = plain;
  open.command_line = kMemory + 0xa00;
  return {{"plain", BytesOf(plain)},
          {"too-many-entries", BytesOf(many)},
          {"across-pages", BytesOf(across) + two_pages},
          {"everything", BytesOf(all) + memory},
          {"line-to-the-end", BytesOf(open) + std::string(khocore::kPageSize, 'x')},
          {"full-table", BytesOf(full) + memory}};
}
