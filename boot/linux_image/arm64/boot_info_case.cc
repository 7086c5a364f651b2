// SPDX-License-Identifier: BSD-3-Clause
//
// What the boot code makes of a device tree; and the tree for a next kernel, made of it, which that
// kernel has to read as it was meant.

#include <libfdt.h>
#include <string.h>

#include <memory>
#include <string>
#include <vector>

#include "boot/linux_image/arm64/read_device_tree.h"
#include "kernel/base/boot_reader.h"
#include "kernel/base/testing/boot_info_check.h"
#include "kernel/base/testing/fuzz_tree.h"
#include "kernel/kexec/linux_boot.h"
#include "khocore/abi/scratch.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_case.h"

namespace {

using base::BootInfo;
using base::DeviceTree;
using base::MemoryType;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;

constexpr PhysAddr kDestination = PhysAddr::FromRaw(0x60000000);
constexpr PhysAddr kRoot = PhysAddr::FromRaw(0x12345000);
constexpr char kCommandLine[] = "generation=2";

/// The last child of the root called exactly so, or -1.
int Child(const void* fdt, const char* name) {
  int found = -1;
  for (int node = fdt_first_subnode(fdt, 0); node >= 0; node = fdt_next_subnode(fdt, node)) {
    if (strcmp(fdt_get_name(fdt, node, nullptr), name) == 0) found = node;
  }
  return found;
}

std::unique_ptr<BootInfo> Read(const DeviceTree& tree) {
  auto info = std::make_unique<BootInfo>();
  const auto address = PhysAddr::FromRaw(reinterpret_cast<uint64_t>(tree.blob()));
  boot::ReadBootInfo(tree, address, info.get(), [](const char* text) { CASE_CHECK(*text); });
  base::CheckBootInfo(*info, {address, tree.size()});
  CASE_CHECK(info->device_tree == (PhysRange{address, tree.size()}));
  return info;
}

void CheckChosen(const DeviceTree& tree, const BootInfo& info) {
  const int chosen = Child(tree.blob(), "chosen");
  const auto has = [&](const char* name) {
    return chosen >= 0 && fdt_getprop(tree.blob(), chosen, name, nullptr) != nullptr;
  };
  const bool readable = tree.RootCells().AreValid();
  CASE_CHECK(info.has_handover == (readable && (has("linux,kho-fdt") || has("linux,kho-scratch"))));
  if (!has("bootargs")) CASE_CHECK(info.command_line[0] == '\0');
  CASE_CHECK(info.initrd.size == 0 || base::CoveredByRam(info, info.initrd));
}

/// Every reservation is a region, or lies in the initrd or the tree.
void CheckReservations(const DeviceTree& tree, const BootInfo& info) {
  if (!tree.RootCells().AreValid() || info.regions_dropped != 0) return;
  for (int i = 0; i < fdt_num_mem_rsv(tree.blob()); ++i) {
    uint64_t begin = 0;
    uint64_t size = 0;
    CASE_CHECK(fdt_get_mem_rsv(tree.blob(), i, &begin, &size) == 0);
    const PhysRange range{PhysAddr::FromRaw(begin), size};
    bool found = size == 0 || khocore::WholePages(info.initrd).Contains(range) ||
                 khocore::WholePages(info.device_tree).Contains(range);
    for (size_t at = 0; at < info.region_count; ++at) {
      found |= info.regions[at].range == range && info.regions[at].type == MemoryType::kReserved;
    }
    CASE_CHECK(found);
  }
}

void CheckNextTree(const BootInfo& info) {
  const PhysRange areas[] = {{PhysAddr::FromRaw(0x400000), 0x800000}};
  kexec::NextBoot next{.info = &info,
                       .image_file = {},
                       .command_line = kCommandLine,
                       .initrd = info.region_count != 0 && !info.regions[0].range.Wraps()
                                     ? PhysRange{info.regions[0].range.begin, 1}
                                     : PhysRange{},
                       .kho_root = kRoot,
                       .scratch = {areas, 1}};
  std::vector<uint64_t> words((kexec::ParametersSize(next) + 7) / 8);
  const Span<uint8_t> buffer{reinterpret_cast<uint8_t*>(words.data()),
                             words.size() * sizeof(uint64_t)};
  if (!kexec::BuildParameters(next, buffer, kDestination).ok()) return;
  const auto built = DeviceTree::Open(buffer.data, buffer.size);
  CASE_CHECK(built.ok());
  const auto received = Read(built.value());
  CASE_CHECK(strcmp(received->command_line, kCommandLine) == 0);
  CASE_CHECK(received->has_handover && received->kho_root.begin == kRoot);
  CASE_CHECK(received->kho_root.size == khocore::kPageSize);
  CASE_CHECK(received->kho_scratch.size == sizeof(khocore::abi::ScratchArea));
  khocore::abi::ScratchArea area;
  memcpy(&area, buffer.data + (received->kho_scratch.begin - kDestination), sizeof(area));
  CASE_CHECK(area.address == areas[0].begin.raw() && area.size == areas[0].size);
  if (base::CoveredByRam(*received, next.initrd)) CASE_CHECK(received->initrd == next.initrd);
  for (size_t i = 0; i < info.region_count; ++i) {
    if (info.regions[i].type != MemoryType::kRam) continue;
    bool found = received->regions_dropped != 0;
    for (size_t at = 0; at < received->region_count; ++at) {
      found |= received->regions[at].range == info.regions[i].range;
    }
    CASE_CHECK(found);
  }
}

}  // namespace

bool fuzz::RunCase(Span<const uint8_t> input) {
  const base::FuzzTree source(input);
  const auto tree = source.Open();
  if (!tree.ok()) return false;
  const auto info = Read(tree.value());
  CheckChosen(tree.value(), *info);
  CheckReservations(tree.value(), *info);
  CheckNextTree(*info);
  return true;
}

std::map<std::string, std::string> fuzz::Seeds() { return base::MachineTrees(); }
