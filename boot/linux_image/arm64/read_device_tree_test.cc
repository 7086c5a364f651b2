// SPDX-License-Identifier: BSD-3-Clause
#include "boot/linux_image/arm64/read_device_tree.h"

#include <gtest/gtest.h>
#include <libfdt.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "boot/linux_image/arm64/device_tree_names.h"
#include "kernel/base/device_tree.h"
#include "kernel/base/testing/guarded_bytes.h"
#include "kernel/base/testing/test_tree.h"

namespace boot {
namespace {

using base::BootInfo;
using base::DeviceTree;
using base::GuardedBytes;
using base::MemoryType;
using base::TestTree;
using khocore::PhysAddr;
using khocore::PhysRange;

constexpr PhysAddr kAddress = PhysAddr::FromRaw(0x48000800);

PhysRange Range(uint64_t begin, uint64_t size) { return {PhysAddr::FromRaw(begin), size}; }

struct Outcome {
  std::unique_ptr<BootInfo> info = std::make_unique<BootInfo>();
  std::vector<std::string> notes;
};

Outcome Read(const TestTree& source) {
  Outcome outcome;
  const auto tree = DeviceTree::Open(source.blob(), source.size());
  EXPECT_TRUE(tree.ok());
  if (tree.ok()) {
    ReadBootInfo(tree.value(), kAddress, outcome.info.get(),
                 [&](const char* text) { outcome.notes.push_back(text); });
  }
  return outcome;
}

/// Everything at once, as a machine has it.
TestTree FullTree() {
  TestTree tree;
  tree.Reserve(0x44000000, 0x1000).Node("/memory@40000000").Node("/reserved-memory");
  tree.String("/memory@40000000", "device_type", "memory");
  tree.Cells("/memory@40000000", "reg", {0, 0x40000000, 0, 0x80000000, 1, 0, 0, 0x10000000});
  tree.Cells("/reserved-memory", "#address-cells", {2})
      .Cells("/reserved-memory", "#size-cells", {1});
  tree.Node("/reserved-memory/fw@1").Cells("/reserved-memory/fw@1", "reg", {0, 0x50000000, 0x2000});
  tree.Node("/chosen").String("/chosen", "bootargs", "scenario=chain seed=7");
  tree.Cells("/chosen", "linux,initrd-start", {0x46000000});
  tree.Cells("/chosen", "linux,initrd-end", {0, 0x46001234});
  tree.Cells("/chosen", "linux,kho-fdt", {0, 0x47000000, 0, 0x1000});
  tree.Cells("/chosen", "linux,kho-scratch", {1, 0x1000, 0, 0x30});
  return tree.Pack();
}

TEST(ReadBootInfo, FirmwareIsNamedAsAWholeOrNotAtAll) {
  TestTree tree;
  tree.Node("/chosen").Cells("/chosen", "linux,uefi-system-table", {0x1000});
  Outcome outcome = Read(tree);
  EXPECT_STREQ(outcome.info->protocol, "efi");
  EXPECT_TRUE(outcome.info->firmware.system_table.is_null());
  EXPECT_EQ(
      outcome.notes,
      (std::vector<std::string>{"/chosen/linux,uefi-*: no system table and memory map; ignored"}));
  tree.Cells("/chosen", "linux,uefi-mmap-start", {2, 0x3000});
  tree.Cells("/chosen", "linux,uefi-mmap-size", {96});
  tree.Cells("/chosen", "linux,uefi-mmap-desc-size", {48});
  tree.Cells("/chosen", "linux,uefi-mmap-desc-ver", {1});
  outcome = Read(tree);
  EXPECT_EQ(outcome.info->firmware.system_table.raw(), 0x1000u);
  EXPECT_EQ(outcome.info->firmware.map, Range(0x200003000, 96));
  EXPECT_EQ(outcome.info->firmware.descriptor_size, 48u);
  EXPECT_EQ(outcome.info->firmware.descriptor_version, 1u);
}

TEST(ReadBootInfo, ReadsEverything) {
  const TestTree tree = FullTree();
  const Outcome outcome = Read(tree);
  const BootInfo& info = *outcome.info;
  EXPECT_TRUE(outcome.notes.empty());
  ASSERT_EQ(info.region_count, 4u);
  // The nodes, which libfdt has added in front of each other, then the header's reservations.
  EXPECT_EQ(info.regions[0].range, Range(0x50000000, 0x2000));
  EXPECT_EQ(info.regions[0].type, MemoryType::kReserved);
  EXPECT_EQ(info.regions[1].range, Range(0x40000000, 0x80000000));
  EXPECT_EQ(info.regions[1].type, MemoryType::kRam);
  EXPECT_EQ(info.regions[2].range, Range(0x100000000, 0x10000000));
  EXPECT_EQ(info.regions[2].type, MemoryType::kRam);
  EXPECT_EQ(info.regions[3].range, Range(0x44000000, 0x1000));
  EXPECT_EQ(info.regions[3].type, MemoryType::kReserved);
  EXPECT_STREQ(info.command_line, "scenario=chain seed=7");
  EXPECT_FALSE(info.command_line_truncated);
  EXPECT_EQ(info.initrd, Range(0x46000000, 0x1234));
  EXPECT_EQ(info.kho_root, Range(0x47000000, 0x1000));
  EXPECT_EQ(info.kho_scratch, Range(0x100001000, 0x30));
  EXPECT_EQ(info.parameters, kAddress);
  EXPECT_EQ(info.device_tree, (PhysRange{kAddress, tree.size()}));
  ASSERT_EQ(info.keep_count, 1u);
  EXPECT_EQ(info.keep[0], Range(0x48000000, 0x1000));
}

TEST(ReadBootInfo, ReadsOneCellAddresses) {
  TestTree tree(1, 1);
  tree.Node("/memory").String("/memory", "device_type", "memory");
  tree.Cells("/memory", "reg", {0x80000000, 0x10000000, 0, 0});
  tree.Node("/chosen").Cells("/chosen", "linux,kho-fdt", {0x80001000, 0x1000});
  tree.Cells("/chosen", "linux,kho-scratch", {0x80002000, 0x20});
  const Outcome outcome = Read(tree);
  ASSERT_EQ(outcome.info->region_count, 1u);  // the empty one is left out
  EXPECT_EQ(outcome.info->regions[0].range, Range(0x80000000, 0x10000000));
  EXPECT_EQ(outcome.info->kho_root, Range(0x80001000, 0x1000));
  EXPECT_EQ(outcome.info->kho_scratch, Range(0x80002000, 0x20));
}

TEST(ReadBootInfo, LeavesDisabledMemoryOut) {
  TestTree tree;
  tree.Node("/memory")
      .String("/memory", "device_type", "memory")
      .String("/memory", "status", "disabled");
  tree.Cells("/memory", "reg", {0, 0x40000000, 0, 0x1000});
  EXPECT_EQ(Read(tree).info->region_count, 0u);
}

TEST(ReadBootInfo, TakesTheReservedInitrdForRam) {
  TestTree tree;
  tree.Reserve(0x46000000, 0x1234).Reserve(0x48000000, 0x100).Reserve(0x45fff000, 0x2000);
  tree.Node("/memory").String("/memory", "device_type", "memory");
  tree.Cells("/memory", "reg", {0, 0x40000000, 0, 0x10000000});
  tree.Node("/chosen").Cells("/chosen", "linux,initrd-start", {0x46000000});
  tree.Cells("/chosen", "linux,initrd-end", {0x46001234});
  const Outcome outcome = Read(tree);
  // The initrd and the tree itself are left out, what reaches beyond them is not.
  ASSERT_EQ(outcome.info->region_count, 2u);
  EXPECT_EQ(outcome.info->regions[1].range, Range(0x45fff000, 0x2000));
}

TEST(ReadBootInfo, AnInitrdBeyondRamHidesNoReservation) {
  for (const uint32_t end : {0x50000001u, ~0u}) {
    TestTree tree;
    tree.Reserve(0x47000000, 0x1000);
    tree.Node("/memory").String("/memory", "device_type", "memory");
    tree.Cells("/memory", "reg", {0, 0x40000000, 0, 0x10000000});
    tree.Node("/chosen").Cells("/chosen", "linux,initrd-start", {0x46000000});
    tree.Cells("/chosen", "linux,initrd-end", {end == ~0u ? ~0u : 0, end});
    const Outcome outcome = Read(tree);
    EXPECT_EQ(outcome.info->initrd, PhysRange());
    EXPECT_EQ(outcome.notes.size(), 1u);
    ASSERT_EQ(outcome.info->region_count, 2u) << "initrd-end " << std::hex << end;
    EXPECT_EQ(outcome.info->regions[1].range, Range(0x47000000, 0x1000));
  }
}

TEST(ReadBootInfo, AHandoverThatTakesAllMemoryKeepsNone) {
  TestTree tree;
  tree.Node("/chosen").Cells("/chosen", "linux,kho-fdt", {0, 0x1000, 0, 0x1000});
  tree.Cells("/chosen", "linux,kho-scratch", {0, 0x2000, ~0u, ~0u});
  const Outcome outcome = Read(tree.Pack());
  EXPECT_EQ(outcome.info->kho_scratch.size, ~uint64_t{0});  // for the kernel to refuse
  ASSERT_EQ(outcome.info->keep_count, 1u);
  EXPECT_EQ(outcome.info->keep[0], Range(0x48000000, 0x1000));
}

TEST(ReadBootInfo, CountsRegionsThatFindNoRoom) {
  TestTree tree;
  for (uint64_t i = 0; i < BootInfo::kMaxRegions + 3; ++i) tree.Reserve(i << 12, 0x1000);
  const Outcome outcome = Read(tree);
  EXPECT_EQ(outcome.info->region_count, BootInfo::kMaxRegions);
  EXPECT_EQ(outcome.info->regions_dropped, 3u);
}

TEST(ReadBootInfo, IgnoresATreeWithForeignCells) {
  TestTree tree(3, 2);
  tree.Node("/memory").String("/memory", "device_type", "memory");
  tree.Cells("/memory", "reg", {0, 0, 0x40000000, 0, 0x1000});
  const Outcome outcome = Read(tree);
  EXPECT_EQ(outcome.info->region_count, 0u);
  EXPECT_EQ(outcome.notes.size(), 1u);
  EXPECT_EQ(outcome.info->device_tree.size, tree.size());
}

TEST(ReadBootInfo, IgnoresReservationsWithForeignCells) {
  TestTree tree;
  tree.Node("/reserved-memory").Cells("/reserved-memory", "#address-cells", {4});
  tree.Node("/reserved-memory/a").Cells("/reserved-memory/a", "reg", {0, 0, 0, 1, 1});
  const Outcome outcome = Read(tree);
  EXPECT_EQ(outcome.info->region_count, 0u);
  EXPECT_EQ(outcome.notes.size(), 1u);
}

TEST(ReadBootInfo, CutsALongCommandLine) {
  TestTree tree;
  tree.Node("/chosen").String("/chosen", "bootargs", std::string(BootInfo::kMaxCommandLine, 'x'));
  const Outcome outcome = Read(tree);
  EXPECT_TRUE(outcome.info->command_line_truncated);
  EXPECT_EQ(outcome.info->command_line, std::string(BootInfo::kMaxCommandLine - 1, 'x'));
  TestTree exact;
  exact.Node("/chosen").String("/chosen", "bootargs",
                               std::string(BootInfo::kMaxCommandLine - 1, 'x'));
  EXPECT_FALSE(Read(exact).info->command_line_truncated);
}

TEST(ReadBootInfo, IgnoresACommandLineWithoutEnd) {
  TestTree tree;
  tree.Node("/chosen").Bytes("/chosen", "bootargs", "abc");
  const Outcome outcome = Read(tree);
  EXPECT_STREQ(outcome.info->command_line, "");
  EXPECT_EQ(outcome.notes.size(), 1u);
}

TEST(ReadBootInfo, IgnoresAnInitrdThatIsNoRange) {
  TestTree only_begin;
  only_begin.Node("/chosen").Cells("/chosen", "linux,initrd-start", {1});
  TestTree backwards;
  backwards.Node("/chosen").Cells("/chosen", "linux,initrd-start", {0x2000});
  backwards.Cells("/chosen", "linux,initrd-end", {0x1000});
  TestTree wide;
  wide.Node("/chosen").Cells("/chosen", "linux,initrd-start", {0, 0, 1});
  wide.Cells("/chosen", "linux,initrd-end", {0x1000});
  for (const TestTree* const tree : {&only_begin, &backwards, &wide}) {
    const Outcome outcome = Read(*tree);
    EXPECT_EQ(outcome.info->initrd.size, 0u);
    EXPECT_EQ(outcome.notes.size(), 1u);
  }
}

/// A tree that is whole but for the handover: root and scratch have these cells.
Outcome ReadHandover(std::initializer_list<uint32_t> root,
                     std::initializer_list<uint32_t> scratch) {
  TestTree tree;
  tree.Node("/chosen");
  if (root.size() != 0) tree.Cells("/chosen", "linux,kho-fdt", root);
  if (scratch.size() != 0) tree.Cells("/chosen", "linux,kho-scratch", scratch);
  return Read(tree);
}

TEST(ReadBootInfo, PassesAHandoverThatIsNotOneRangeEachOnToBeRefused) {
  const std::initializer_list<uint32_t> good = {0, 0x1000, 0, 0x1000};
  const std::initializer_list<uint32_t> twice = {0, 0x1000, 0, 0x1000, 0, 0x2000, 0, 0x1000};
  const std::initializer_list<uint32_t> cut = {0, 0x1000, 0};
  const std::initializer_list<uint32_t> one_cell = {0x1000, 0x1000};
  for (const auto& bad : {twice, cut, one_cell, std::initializer_list<uint32_t>{}}) {
    for (const bool first : {false, true}) {
      const Outcome outcome = first ? ReadHandover(bad, good) : ReadHandover(good, bad);
      EXPECT_TRUE(outcome.info->has_handover);
      EXPECT_EQ(outcome.info->kho_root, PhysRange());
      EXPECT_EQ(outcome.info->kho_scratch, PhysRange());
      EXPECT_EQ(outcome.notes.size(), 1u);
    }
  }
  const Outcome none = ReadHandover({}, {});
  EXPECT_FALSE(none.info->has_handover);
  EXPECT_TRUE(none.notes.empty());
  const Outcome both = ReadHandover(good, good);
  EXPECT_TRUE(both.info->has_handover);
  EXPECT_NE(both.info->kho_root, PhysRange());
}

TEST(ReadBootInfo, PassesEmptyRangesOnToBeRefused) {
  const std::initializer_list<uint32_t> good = {0, 0x1000, 0, 0x1000};
  const std::initializer_list<uint32_t> empty = {0, 0x1000, 0, 0};
  const Outcome no_scratch = ReadHandover(good, empty);
  EXPECT_TRUE(no_scratch.info->has_handover);
  EXPECT_EQ(no_scratch.info->kho_scratch.size, 0u);
  const Outcome no_root = ReadHandover(empty, good);
  EXPECT_TRUE(no_root.info->has_handover);
  EXPECT_EQ(no_root.info->kho_root.size, 0u);
}

/// Opens and reads `bytes`, which may be anything, without leaving them.
void ReadAnything(const std::string& bytes) {
  GuardedBytes guarded(bytes.data(), bytes.size());
  const auto tree = DeviceTree::Open(guarded.data(), guarded.size());
  if (!tree.ok()) return;
  const auto info = std::make_unique<BootInfo>();
  ReadBootInfo(tree.value(), kAddress, info.get(), [](const char*) {});
  EXPECT_LE(info->region_count, BootInfo::kMaxRegions);
  EXPECT_EQ(info->command_line[BootInfo::kMaxCommandLine - 1], '\0');
}

TEST(ReadBootInfo, StaysInsideATruncatedTree) {
  const TestTree tree = FullTree();
  const std::string whole(static_cast<const char*>(tree.blob()), tree.size());
  for (size_t size = 0; size < whole.size(); ++size) {
    std::string cut = whole.substr(0, size);
    ReadAnything(cut);
    if (size < sizeof(fdt_header)) continue;
    fdt_set_totalsize(cut.data(), static_cast<uint32_t>(size));
    ReadAnything(cut);
  }
}

TEST(ReadBootInfo, StaysInsideADamagedTree) {
  const TestTree tree = FullTree();
  const std::string whole(static_cast<const char*>(tree.blob()), tree.size());
  std::minstd_rand random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string damaged = whole;
    for (unsigned n = random() % 4 + 1; n != 0; --n) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    ReadAnything(damaged);
  }
}

}  // namespace
}  // namespace boot
