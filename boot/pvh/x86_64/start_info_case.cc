// SPDX-License-Identifier: BSD-3-Clause
//
// An input is the memory in which the structures lie, the start_info first. They are read by
// offset, as Xen's start_info.h has them.

#include <string.h>

#include <optional>
#include <string>

#include "boot/pvh/x86_64/read_start_info.h"
#include "kernel/base/testing/boot_info_check.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_bytes.h"
#include "khocore/testing/fuzz_case.h"

namespace {

using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;

constexpr uint64_t kBase = 0xe0000;
constexpr uint32_t kMostEntries = 4096;

/// The number at an address, if there is one.
template <typename T>
std::optional<T> At(Span<const uint8_t> memory, uint64_t address) {
  if (address < kBase || memory.size < sizeof(T) || address - kBase > memory.size - sizeof(T)) {
    return {};
  }
  T value;
  memcpy(&value, memory.data + (address - kBase), sizeof(T));
  return value;
}

void CheckMemoryMap(Span<const uint8_t> memory, const base::BootInfo& info) {
  const uint64_t map = At<uint64_t>(memory, kBase + 40).value_or(0);
  const uint32_t entries = At<uint32_t>(memory, kBase + 48).value_or(0);
  size_t count = 0;
  for (uint32_t i = 0; i < entries && i < kMostEntries; ++i) {
    const uint64_t at = map + i * uint64_t{24};
    if (!At<uint64_t>(memory, at + 16)) break;
    const auto size = At<uint64_t>(memory, at + 8);
    const auto begin = At<uint64_t>(memory, at);
    if (!size || !begin) break;
    if (size.value_or(0) == 0) continue;
    if (count < info.region_count) {
      CASE_CHECK(info.regions[count].range.begin.raw() == begin.value_or(0));
      CASE_CHECK(info.regions[count].range.size == size.value_or(0));
      CASE_CHECK(static_cast<uint32_t>(info.regions[count].type) ==
                 At<uint32_t>(memory, at + 16).value_or(0));
    }
    ++count;
  }
  CASE_CHECK(count == info.region_count + info.regions_dropped);
}

void CheckInitrd(Span<const uint8_t> memory, const base::BootInfo& info) {
  if (info.initrd.size == 0) return;
  const uint64_t modules = At<uint64_t>(memory, kBase + 16).value_or(0);
  CASE_CHECK(At<uint32_t>(memory, kBase + 12).value_or(0) != 0);
  CASE_CHECK(info.initrd.begin.raw() == At<uint64_t>(memory, modules).value_or(0));
  CASE_CHECK(info.initrd.size == At<uint64_t>(memory, modules + 8).value_or(0));
  CASE_CHECK(base::CoveredByRam(info, info.initrd));
  CASE_CHECK(!info.initrd.Wraps());
}

}  // namespace

bool fuzz::RunCase(Span<const uint8_t> input) {
  const PhysRange all{PhysAddr::FromRaw(kBase), input.size};
  auto map = [&](PhysRange range) -> const void* {
    return all.Contains(range) ? input.data + (range.begin - all.begin) : nullptr;
  };
  size_t notes = 0;
  auto note = [&](const char* text, uint64_t) { notes += *text != '\0'; };
  static base::BootInfo static_info;
  base::BootInfo* const info = &static_info;
  *info = {};
  const bool read = boot::ReadStartInfo(kBase, base::BootReader(map, note), info);
  const auto magic = At<uint32_t>(input, kBase);
  const auto version = At<uint32_t>(input, kBase + 4);
  const bool is_one = input.size >= 56 && magic.value_or(0) == 0x336ec578 &&
                      static_cast<int>(version.value_or(0) != 0) == 1;
  CASE_CHECK(read == is_one);
  if (!read) return false;

  base::CheckBootInfo(*info, all);
  CASE_CHECK(strcmp(info->protocol, "pvh") == 0 && info->parameters.raw() == kBase);
  CASE_CHECK(info->rsdp.raw() == At<uint64_t>(input, kBase + 32).value_or(0));
  CASE_CHECK(!info->has_handover);
  CheckMemoryMap(input, *info);
  CheckInitrd(input, *info);
  return notes == 0;
}

std::map<std::string, std::string> fuzz::Seeds() {
  std::string start;
  Put(&start, 0, uint32_t{0x336ec578});
  Put(&start, 4, uint32_t{1});
  Put(&start, 32, uint64_t{0xf5a00});
  Put(&start, 52, uint32_t{0});
  std::string bare = start;
  Put(&start, 12, uint32_t{1});
  Put(&start, 16, kBase + 0x40);  // modules
  Put(&start, 24, kBase + 0xc0);  // command line
  Put(&start, 40, kBase + 0x60);  // memory map
  Put(&start, 48, uint32_t{3});
  Put(&start, 0x40, uint64_t{0x200000});
  Put(&start, 0x48, uint64_t{0x1000});
  Put(&start, 0x58, uint64_t{0});
  for (const uint64_t number : {0x0ull, 0x9fc00ull, 1ull, 0x100000ull, 0x7f00000ull, 1ull,
                                0xfffc0000ull, 0x40000ull, 2ull}) {
    start += BytesOf(number);
  }
  start.resize(0xc0);
  start += "scenario=handover";
  start.resize(khocore::kPageSize + 0x100);
  return {{"bare", bare}, {"everything", start}};
}
