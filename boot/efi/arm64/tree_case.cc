// SPDX-License-Identifier: BSD-3-Clause
//
// The firmware's tree made into the kernel's: the kernel reads what the loader meant. An input is a
// byte that says how many regions there are, and the tree.

#include <string.h>

#include <memory>
#include <string>
#include <vector>

#include "boot/efi/arm64/tree.h"
#include "boot/linux_image/arm64/read_device_tree.h"
#include "kernel/base/testing/fuzz_tree.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_bytes.h"
#include "khocore/testing/fuzz_case.h"

namespace {

using base::BootInfo;
using base::DeviceTree;
using base::MemoryType;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;

constexpr char kCommandLine[] = "scenario=x";
constexpr MemoryType kTypes[] = {MemoryType::kRam, MemoryType::kRuntimeServices, MemoryType::kRam,
                                 MemoryType::kReserved};

std::unique_ptr<BootInfo> Regions(size_t count) {
  auto info = std::make_unique<BootInfo>();
  for (; info->region_count < count; ++info->region_count) {
    const uint64_t i = info->region_count;
    info->regions[i] = {{PhysAddr::FromRaw(0x40000000 + i * 0x400000), 0x200000}, kTypes[i % 4]};
  }
  return info;
}

/// The kernel sees these RAM and runtime regions and no others of these kinds.
void CheckRegions(const BootInfo& want, const BootInfo& got, MemoryType type) {
  std::vector<PhysRange> wanted;
  for (size_t i = 0; i < want.region_count; ++i) {
    if (want.regions[i].type == type) wanted.push_back(want.regions[i].range);
  }
  size_t count = 0;
  for (size_t i = 0; i < got.region_count; ++i) {
    if (got.regions[i].type != type) continue;
    if (type == MemoryType::kRam) CASE_CHECK(count < wanted.size());
    ++count;
    // Firmware that has reserved memory of its own keeps it.
    if (type != MemoryType::kRam) std::erase(wanted, got.regions[i].range);
    if (type == MemoryType::kRam) CASE_CHECK(got.regions[i].range == wanted[count - 1]);
  }
  CASE_CHECK(type == MemoryType::kRam ? count == wanted.size() : wanted.empty());
}

}  // namespace

bool fuzz::RunCase(Span<const uint8_t> input) {
  fuzz::Input bytes(input);
  const auto info = Regions(bytes.Take<uint8_t>() % 12);
  const base::FuzzTree source(bytes.rest());
  const auto tree = source.Open();
  if (!tree.ok()) return false;
  const kexec::NextBoot next{.info = info.get(),
                             .image_file = {},
                             .command_line = kCommandLine,
                             .initrd = {PhysAddr::FromRaw(0x40001000), 0x1234},
                             .kho_root = {},
                             .scratch = {}};
  const efi::MemoryMap map{};
  std::vector<uint64_t> words((efi::TreeSize(source.size(), kCommandLine) + 7) / 8);
  const Span<uint8_t> buffer{reinterpret_cast<uint8_t*>(words.data()),
                             words.size() * sizeof(uint64_t)};
  if (!efi::BuildTree(tree.value(), next, {0x1000, map}, buffer).ok()) return false;

  const auto built = DeviceTree::Open(buffer.data, buffer.size);
  CASE_CHECK(built.ok());
  const auto seen = std::make_unique<BootInfo>();
  boot::ReadBootInfo(built.value(), PhysAddr::FromRaw(0x50000000), seen.get(),
                     [](const char* text) { CASE_CHECK(*text); });
  CASE_CHECK(strcmp(seen->command_line, kCommandLine) == 0);
  CASE_CHECK(strcmp(seen->protocol, "efi") == 0);
  if (seen->regions_dropped != 0) return true;
  CheckRegions(*info, *seen, MemoryType::kRam);
  CheckRegions(*info, *seen, MemoryType::kRuntimeServices);
  CASE_CHECK(seen->initrd == (info->region_count != 0 ? next.initrd : PhysRange{}));
  return true;
}

std::map<std::string, std::string> fuzz::Seeds() {
  std::map<std::string, std::string> seeds;
  char count = 0;
  for (const auto& [name, tree] : base::MachineTrees()) {
    seeds[name] = std::string(1, count) + tree;
    count = static_cast<char>(count + 5);
  }
  return seeds;
}
