// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/arm64/tree.h"

#include <gtest/gtest.h>
#include <libfdt.h>

#include <memory>
#include <string>

#include "kernel/base/testing/guarded_bytes.h"
#include "kernel/base/testing/test_tree.h"

namespace efi {
namespace {

using base::BootInfo;
using base::DeviceTree;
using base::GuardedBytes;
using base::MemoryType;
using base::TestTree;
using khocore::ErrorCode;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Status;

PhysRange Range(uint64_t begin, uint64_t size) { return {PhysAddr::FromRaw(begin), size}; }

class BuildTreeTest : public testing::Test {
 protected:
  void AddRegion(PhysRange range, MemoryType type) {
    info_->regions[info_->region_count++] = {range, type};
  }
  Status Build(TestTree& source) {
    return Build(source, TreeSize(source.Pack().size(), command_line_.c_str()));
  }
  Status Build(TestTree& source, uint64_t size) {
    const auto tree = DeviceTree::Open(source.blob(), source.size());
    EXPECT_TRUE(tree.ok());
    built_ = std::make_unique<GuardedBytes>(size);
    info_->firmware.secure_boot = 2;
    const kexec::NextBoot next{.info = info_.get(),
                               .image_file = {},
                               .command_line = command_line_.c_str(),
                               .initrd = Range(0x4a000000, 0x1234),
                               .kho_root = {},
                               .scratch = {}};
    return BuildTree(tree.value(), next, {0x123456789a, map_}, {built_->data(), built_->size()});
  }
  const void* built() { return built_->data(); }
  /// A property's bytes, or "absent".
  std::string Get(const char* path, const char* name) {
    int size = 0;
    const void* const value = fdt_getprop(built(), fdt_path_offset(built(), path), name, &size);
    if (value == nullptr) return "absent";
    return {static_cast<const char*>(value), static_cast<size_t>(size)};
  }
  static std::string Cells(std::initializer_list<uint32_t> cells) {
    std::string bytes;
    for (const uint32_t cell : cells) {
      for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(cell >> shift);
    }
    return bytes;
  }
  static std::string Text(const std::string& text) { return text + '\0'; }

  std::unique_ptr<BootInfo> info_ = std::make_unique<BootInfo>();
  std::string command_line_ = "scenario=x";
  uint8_t descriptors_[96];
  MemoryMap map_{{descriptors_, sizeof(descriptors_)}, 96, 48, 1};
  std::unique_ptr<GuardedBytes> built_;
};

TEST_F(BuildTreeTest, MemoryIsWhatTheLoaderFound) {
  TestTree tree;
  tree.Node("/memory@40000000").String("/memory@40000000", "device_type", "memory");
  tree.Cells("/memory@40000000", "reg", {0, 0x40000000, 0, 0x80000000});
  tree.Node("/memory@100").String("/memory@100", "device_type", "memory");
  tree.Reserve(0x44000000, 0x1000).Reserve(0x45000000, 0x1000);
  AddRegion(Range(0x40000000, 0x1000000), MemoryType::kRam);
  AddRegion(Range(0x41000000, 0x1000), MemoryType::kReserved);
  AddRegion(Range(0x100000000, 0x200000000), MemoryType::kRam);
  ASSERT_TRUE(Build(tree).ok());
  EXPECT_EQ(Get("/memory", "device_type"), Text("memory"));
  EXPECT_EQ(Get("/memory", "reg"), Cells({0, 0x40000000, 0, 0x1000000, 1, 0, 2, 0}));
  EXPECT_LT(fdt_path_offset(built(), "/memory@40000000"), 0);
  EXPECT_LT(fdt_path_offset(built(), "/memory@100"), 0);
  EXPECT_EQ(fdt_num_mem_rsv(built()), 0);
}

TEST_F(BuildTreeTest, NumaNodesStay) {
  TestTree tree;
  tree.Node("/memory@41234000").String("/memory@41234000", "device_type", "memory");
  tree.Cells("/memory@41234000", "reg", {0, 0x41234000, 0, 0x10000000});
  tree.Cells("/memory@41234000", "numa-node-id", {5});
  tree.Node("/memory@40000000").String("/memory@40000000", "device_type", "memory");
  tree.Cells("/memory@40000000", "reg", {0, 0x40000000, 0, 0x1234000});
  tree.Cells("/memory@40000000", "numa-node-id", {1});
  AddRegion(Range(0x40000000, 0x3000000), MemoryType::kRam);
  AddRegion(Range(0x44000000, 0x1000000), MemoryType::kRam);
  ASSERT_TRUE(Build(tree).ok());
  EXPECT_EQ(Get("/memory@0", "reg"), Cells({0, 0x40000000, 0, 0x1234000}));
  EXPECT_EQ(Get("/memory@0", "numa-node-id"), Cells({1}));
  EXPECT_EQ(Get("/memory@41234000", "reg"),
            Cells({0, 0x41234000, 0, 0x1dcc000, 0, 0x44000000, 0, 0x1000000}));
  EXPECT_EQ(Get("/memory@41234000", "numa-node-id"), Cells({5}));
}

TEST_F(BuildTreeTest, WhatFirmwareSaysOfMemoryDoesNotStay) {
  TestTree tree;
  tree.Node("/memory").Cells("/memory", "reg", {0, 0, 0, 0x1000});
  tree.String("/memory", "status", "disabled");
  tree.Node("/other").Bytes("/other", "device_type", std::string("x\0memory\0", 9));
  AddRegion(Range(0x40000000, 0x1000000), MemoryType::kRam);
  ASSERT_TRUE(Build(tree).ok());
  EXPECT_EQ(Get("/memory", "reg"), Cells({0, 0x40000000, 0, 0x1000000}));
  EXPECT_EQ(Get("/memory", "status"), "absent");
  EXPECT_LT(fdt_path_offset(built(), "/other"), 0);
}

TEST_F(BuildTreeTest, RuntimeServicesAreReserved) {
  TestTree tree;
  AddRegion(Range(0x5c000000, 0x10000), MemoryType::kRuntimeServices);
  AddRegion(Range(0x5d000000, 0x20000), MemoryType::kRuntimeServices);
  ASSERT_TRUE(Build(tree).ok());
  EXPECT_EQ(Get("/reserved-memory", "#address-cells"), Cells({2}));
  EXPECT_EQ(Get("/reserved-memory", "#size-cells"), Cells({2}));
  EXPECT_EQ(Get("/reserved-memory", "ranges"), "");
  const std::string first = "/reserved-memory/efi-runtime-services@5c000000";
  EXPECT_EQ(Get(first.c_str(), "compatible"), Text("khorig,efi-runtime-services"));
  EXPECT_EQ(Get(first.c_str(), "reg"), Cells({0, 0x5c000000, 0, 0x10000}));
  EXPECT_EQ(Get(first.c_str(), "no-map"), "");
  EXPECT_EQ(Get("/reserved-memory/efi-runtime-services@5d000000", "reg"),
            Cells({0, 0x5d000000, 0, 0x20000}));
}

TEST_F(BuildTreeTest, ChosenHasWhatKernelsLookFor) {
  TestTree tree;
  tree.Node("/chosen")
      .String("/chosen", "stdout-path", "/pl011")
      .String("/chosen", "bootargs", "old");
  ASSERT_TRUE(Build(tree).ok());
  EXPECT_EQ(Get("/chosen", "stdout-path"), Text("/pl011"));
  EXPECT_EQ(Get("/chosen", "bootargs"), Text("scenario=x"));
  EXPECT_EQ(Get("/chosen", "linux,initrd-start"), Cells({0, 0x4a000000}));
  EXPECT_EQ(Get("/chosen", "linux,initrd-end"), Cells({0, 0x4a001234}));
  EXPECT_EQ(Get("/chosen", "linux,uefi-system-table"), Cells({0x12, 0x3456789a}));
  const auto map = reinterpret_cast<uint64_t>(descriptors_);
  EXPECT_EQ(Get("/chosen", "linux,uefi-mmap-start"),
            Cells({static_cast<uint32_t>(map >> 32), static_cast<uint32_t>(map)}));
  EXPECT_EQ(Get("/chosen", "linux,uefi-mmap-size"), Cells({96}));
  EXPECT_EQ(Get("/chosen", "linux,uefi-mmap-desc-size"), Cells({48}));
  EXPECT_EQ(Get("/chosen", "linux,uefi-mmap-desc-ver"), Cells({1}));
  EXPECT_EQ(Get("/chosen", "linux,uefi-secure-boot"), Cells({2}));
}

TEST_F(BuildTreeTest, ANodeWithAnAddressInItsNameIsAnotherOne) {
  TestTree tree;
  tree.Node("/chosen@1").String("/chosen@1", "bootargs", "not mine");
  ASSERT_TRUE(Build(tree).ok());
  EXPECT_EQ(Get("/chosen@1", "bootargs"), Text("not mine"));
  int count = 0;
  for (int node = fdt_first_subnode(built(), 0); node >= 0;
       node = fdt_next_subnode(built(), node)) {
    const std::string name = fdt_get_name(built(), node, nullptr);
    EXPECT_EQ(name.find("khorig"), std::string::npos);
    count += name == "chosen" ? 1 : 0;
  }
  EXPECT_EQ(count, 1);
}

TEST_F(BuildTreeTest, OneCellHoldsWhatFits) {
  TestTree tree(1, 1);
  AddRegion(Range(0x40000000, 0xffffffff), MemoryType::kRam);
  ASSERT_TRUE(Build(tree).ok());
  EXPECT_EQ(Get("/memory", "reg"), Cells({0x40000000, 0xffffffff}));
  AddRegion(Range(0x100000000, 0x1000), MemoryType::kRam);
  TestTree again(1, 1);
  const Status status = Build(again);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kFdtStructure);
}

TEST_F(BuildTreeTest, CellCountsOfOtherWidthsAreRefused) {
  TestTree tree(3, 2);
  const Status status = Build(tree);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kFdtStructure);
}

TEST_F(BuildTreeTest, EveryRegionFits) {
  TestTree tree;
  command_line_ = std::string(2000, 'x');
  for (uint64_t i = 0; i < BootInfo::kMaxRegions; ++i) {
    AddRegion(Range(0x7ffffff000000000 + i * 0x100000, 0x1000), MemoryType::kRuntimeServices);
  }
  EXPECT_TRUE(Build(tree).ok());
}

TEST_F(BuildTreeTest, ASmallBufferIsRefused) {
  TestTree tree;
  AddRegion(Range(0x40000000, 0x1000000), MemoryType::kRam);
  tree.Pack();
  for (uint64_t size = 0; size < 600; size += 8) {
    const Status status = Build(tree, size);
    if (status.ok()) continue;
    EXPECT_EQ(status.error().code, ErrorCode::kNoSpace) << size;
  }
  EXPECT_FALSE(Build(tree, 200).ok());
}

TEST(TreeSize, EndsAtTheProtocolsBound) {
  EXPECT_EQ(TreeSize(DeviceTree::kMaxSize, ""), DeviceTree::kMaxSize);
  EXPECT_EQ(TreeSize(~uint64_t{0} >> 1, ""), DeviceTree::kMaxSize);
  EXPECT_LT(TreeSize(4096, ""), DeviceTree::kMaxSize);
  EXPECT_EQ(TreeSize(4096, "12345") - TreeSize(4096, ""), 5u);
}

}  // namespace
}  // namespace efi
