// SPDX-License-Identifier: BSD-3-Clause
//
// An input is a `Head` and the memory that it speaks of.

#include <string.h>

#include <string>

#include "boot/firmware/uefi.h"
#include "kernel/base/testing/boot_info_check.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_bytes.h"
#include "khocore/testing/fuzz_case.h"

namespace {

using base::BootInfo;
using base::MemoryType;
using boot::UefiDescriptor;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;

constexpr uint64_t kBase = 0x140000000;
constexpr uint64_t kRuntime = uint64_t{1} << 63;

struct Head {
  uint64_t system_table;
  uint64_t map;
  uint64_t map_size;
  uint64_t tables;
  uint32_t descriptor_size;
  uint32_t reserved_pages;  ///< behind RAM
};

/// RAM only shrinks: what was no RAM does not become it.
void CheckRam(const BootInfo& info, PhysRange ram) {
  for (size_t i = 0; i < info.region_count; ++i) {
    if (info.regions[i].type == MemoryType::kRam) CASE_CHECK(ram.Contains(info.regions[i].range));
    for (size_t other = 0; other < i; ++other) {
      CASE_CHECK(!info.regions[i].range.Overlaps(info.regions[other].range));
    }
  }
}

}  // namespace

bool fuzz::RunCase(Span<const uint8_t> input) {
  fuzz::Input bytes(input);
  const Head head = bytes.Take<Head>();
  const Span<const uint8_t> memory = bytes.rest();
  const PhysRange all{PhysAddr::FromRaw(kBase), memory.size};
  static BootInfo info;
  info = {};
  const uint64_t pages = memory.size / khocore::kPageSize;
  const uint64_t reserved = head.reserved_pages % (pages + 1);
  const PhysRange ram{all.begin, (pages - reserved) * khocore::kPageSize};
  info.regions[0] = {ram, MemoryType::kRam};
  info.regions[1] = {{ram.end(), reserved * khocore::kPageSize}, MemoryType::kReserved};
  info.region_count = reserved == 0 ? 1 : 2;
  if (ram.size == 0) return false;
  info.firmware.system_table = PhysAddr::FromRaw(head.system_table);
  info.firmware.map = {PhysAddr::FromRaw(head.map), head.map_size};
  info.firmware.descriptor_size = head.descriptor_size;
  info.firmware.tables = PhysAddr::FromRaw(head.tables);

  size_t notes = 0;
  auto find = [&](PhysRange range) -> const void* {
    return all.Contains(range) ? memory.data + (range.begin - all.begin) : nullptr;
  };
  auto find_ram = [&](PhysRange range) { return ram.Contains(range) ? find(range) : nullptr; };
  auto note = [&](const char*, uint64_t) { ++notes; };
  boot::TakeFirmware(base::BootReader(find_ram, note), base::BootReader(find, note), &info);

  base::CheckBootInfo(info, ram);
  CheckRam(info, ram);
  const bool is_taken = !info.firmware.system_table.is_null();
  CASE_CHECK(is_taken || head.system_table == 0 || notes != 0);
  if (!is_taken) return false;
  CASE_CHECK(info.keep_count == 1 && info.keep[0].Contains(info.firmware.map));
  const uint8_t* const map = memory.data + (info.firmware.map.begin - all.begin);
  UefiDescriptor descriptor;
  for (uint64_t i = 0; boot::ReadDescriptor(info.firmware, map, i, &descriptor); ++i) {
    const uint64_t size = descriptor.pages * 4096;
    const PhysRange range{PhysAddr::FromRaw(descriptor.physical), size};
    if (!descriptor.IsRuntime() || size / 4096 != descriptor.pages || range.Wraps()) continue;
    for (size_t k = 0; k < info.region_count; ++k) {
      CASE_CHECK(info.regions[k].type != MemoryType::kRam ||
                 !info.regions[k].range.Overlaps(range));
    }
  }
  return true;
}

std::map<std::string, std::string> fuzz::Seeds() {
  std::string memory(8 * khocore::kPageSize, '\0');
  const uint64_t services = kBase + 4 * khocore::kPageSize;
  const UefiDescriptor map[] = {{7, 0, kBase, 0, 4, 15},
                                {6, 0, services, 0, 2, 15 | kRuntime},
                                {4, 0, services + 0x2000, 0, 2, 15}};
  Put(&memory, 0x100, map);
  memory.replace(0x4018, 8, "IBI SYST");
  Put(&memory, 0x4018 + 104, uint64_t{2});
  Put(&memory, 0x4018 + 112, services + 0x1000);
  const unsigned char seed[] = "\xbc\xe5\xe1\x1c\xeb\x7c\xf2\x42\x81\xe5\x8a\xad\xf1\x80\xf5\x7b";
  memory.replace(0x5000, 16, reinterpret_cast<const char*>(seed), 16);
  Put(&memory, 0x5010, services + 0x2000);
  const unsigned char list[] = "\xc6\xb0\x8e\x88\xde\x8e\xf5\x4f\xa8\xf0\x9a\xee\x5c\xb9\x77\xc2";
  memory.replace(0x5018, 16, reinterpret_cast<const char*>(list), 16);
  Put(&memory, 0x5028, kBase + 0x200);
  Put(&memory, 0x200, uint32_t{1});
  Put(&memory, 0x204, uint32_t{1});
  Put(&memory, 0x210, kBase + 0x3000);
  Put(&memory, 0x218, uint64_t{0x1000});
  const Head head{services + 0x18, kBase + 0x100, sizeof(map), 0, sizeof(UefiDescriptor), 0};
  Head by_linux = head;
  by_linux.tables = services + 0x1000;
  by_linux.reserved_pages = 3;
  return {{"all", BytesOf(head) + memory}, {"by-linux", BytesOf(by_linux) + memory}};
}
