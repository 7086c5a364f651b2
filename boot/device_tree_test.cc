// SPDX-License-Identifier: BSD-3-Clause
#include "boot/device_tree.h"

#include <gtest/gtest.h>
#include <libfdt.h>

#include "boot/guarded_bytes.h"
#include "boot/test_tree.h"

namespace boot {
namespace {

using khocore::ErrorCode;
using khocore::PhysAddr;
using khocore::PhysRange;

ErrorCode OpenError(const void* blob, uint64_t limit) {
  const auto tree = DeviceTree::Open(blob, limit);
  EXPECT_FALSE(tree.ok());
  return tree.ok() ? ErrorCode::kCount : tree.error().code;
}

DeviceTree Opened(const TestTree& tree) {
  const auto opened = DeviceTree::Open(tree.blob(), tree.size());
  EXPECT_TRUE(opened.ok());
  return opened.ok() ? opened.value() : DeviceTree();
}

TEST(DeviceTreeOpen, TakesAGoodTree) {
  TestTree tree;
  EXPECT_EQ(Opened(tree).size(), tree.size());
  EXPECT_EQ(Opened(tree).blob(), tree.blob());
}

TEST(DeviceTreeOpen, RefusesAnUnalignedTree) {
  TestTree tree;
  EXPECT_EQ(OpenError(static_cast<char*>(tree.blob()) + 4, 4096), ErrorCode::kUnaligned);
}

TEST(DeviceTreeOpen, RefusesBytesWithoutMagic) {
  TestTree tree;
  fdt_set_magic(tree.blob(), FDT_MAGIC + 1);
  EXPECT_EQ(OpenError(tree.blob(), tree.size()), ErrorCode::kFdtMagic);
}

TEST(DeviceTreeOpen, RefusesALimitBelowTheHeader) {
  GuardedBytes nothing(8);
  EXPECT_EQ(OpenError(nothing.data(), 8), ErrorCode::kFdtTotalSize);
  EXPECT_EQ(OpenError(nullptr, 0), ErrorCode::kFdtTotalSize);
}

TEST(DeviceTreeOpen, RefusesASizeBeyondTheLimit) {
  TestTree tree;
  EXPECT_EQ(OpenError(tree.blob(), tree.size() - 1), ErrorCode::kFdtTotalSize);
}

TEST(DeviceTreeOpen, RefusesASizeBeyondTheProtocol) {
  TestTree tree(2, 2, DeviceTree::kMaxSize + 8);
  EXPECT_EQ(OpenError(tree.blob(), tree.size()), ErrorCode::kFdtTotalSize);
  TestTree largest(2, 2, DeviceTree::kMaxSize);
  EXPECT_TRUE(DeviceTree::Open(largest.blob(), largest.size()).ok());
}

TEST(DeviceTreeOpen, RefusesASizeBelowTheHeader) {
  TestTree tree;
  fdt_set_totalsize(tree.blob(), sizeof(fdt_header) - 1);
  EXPECT_EQ(OpenError(tree.blob(), 4096), ErrorCode::kFdtTotalSize);
}

TEST(DeviceTreeOpen, RefusesAnOldVersion) {
  TestTree tree;
  fdt_set_version(tree.blob(), 16);
  EXPECT_EQ(OpenError(tree.blob(), tree.size()), ErrorCode::kFdtStructure);
}

TEST(DeviceTreeOpen, RefusesABrokenStructure) {
  TestTree tree;
  const auto structure = static_cast<char*>(tree.blob()) + fdt_off_dt_struct(tree.blob());
  fdt32_st(structure, 0x77);
  EXPECT_EQ(OpenError(tree.blob(), tree.size()), ErrorCode::kFdtStructure);
}

TEST(DeviceTree, FindsNodesByPathAliasAndCompatible) {
  TestTree source;
  source.Node("/aliases").Node("/soc").Node("/soc/b@2").Node("/soc/a@1");  // libfdt adds in front
  source.String("/aliases", "one", "/soc/a@1");
  source.String("/soc/a@1", "compatible", "x,y").String("/soc/b@2", "compatible", "x,y");
  const DeviceTree tree = Opened(source);
  const int a = tree.Find("/soc/a@1");
  const int b = tree.Find("/soc/b@2");
  EXPECT_GT(a, 0);
  EXPECT_EQ(tree.Find("one"), a);
  EXPECT_EQ(tree.Find("one:115200", 3), a);
  EXPECT_EQ(tree.Find("two"), -1);
  EXPECT_EQ(tree.Find("/soc/c"), -1);
  EXPECT_EQ(tree.FindCompatible(-1, "x,y"), a);
  EXPECT_EQ(tree.FindCompatible(a, "x,y"), b);
  EXPECT_EQ(tree.FindCompatible(b, "x,y"), -1);
  EXPECT_TRUE(tree.IsCompatible(a, "x,y"));
  EXPECT_FALSE(tree.IsCompatible(tree.Find("/soc"), "x,y"));
}

TEST(DeviceTree, ListsChildren) {
  TestTree source;
  source.Node("/b").Node("/a").Node("/a/inner");
  const DeviceTree tree = Opened(source);
  const int first = tree.FirstChild(0);
  EXPECT_EQ(first, tree.Find("/a"));
  EXPECT_EQ(tree.NextChild(first), tree.Find("/b"));
  EXPECT_EQ(tree.NextChild(tree.Find("/b")), -1);
  EXPECT_EQ(tree.FirstChild(tree.Find("/b")), -1);
}

TEST(DeviceTree, ReadsStatus) {
  TestTree source;
  source.Node("/none").Node("/okay").Node("/ok").Node("/off").Node("/cut").Node("/empty");
  source.String("/okay", "status", "okay").String("/ok", "status", "ok");
  source.String("/off", "status", "disabled").Bytes("/cut", "status", "okay");
  const DeviceTree tree = Opened(source);
  EXPECT_TRUE(tree.IsEnabled(tree.Find("/none")));
  EXPECT_TRUE(tree.IsEnabled(tree.Find("/okay")));
  EXPECT_TRUE(tree.IsEnabled(tree.Find("/ok")));
  EXPECT_FALSE(tree.IsEnabled(tree.Find("/off")));
  EXPECT_FALSE(tree.IsEnabled(tree.Find("/cut")));
}

TEST(DeviceTree, ReadsNumbersOfOneOrTwoCells) {
  TestTree source;
  source.Cells("/", "one", {0x12345678}).Cells("/", "two", {1, 2}).Cells("/", "three", {1, 2, 3});
  source.Bytes("/", "odd", "abc");
  const DeviceTree tree = Opened(source);
  uint64_t value = 0;
  EXPECT_TRUE(tree.Number(0, "one", &value));
  EXPECT_EQ(value, 0x12345678u);
  EXPECT_TRUE(tree.Number(0, "two", &value));
  EXPECT_EQ(value, 0x100000002u);
  EXPECT_FALSE(tree.Number(0, "three", &value));
  EXPECT_FALSE(tree.Number(0, "odd", &value));
  EXPECT_FALSE(tree.Number(0, "absent", &value));
}

TEST(DeviceTree, RefusesCellCountsOutOfRange) {
  CellCounts cells;
  for (const uint32_t bad : {0u, 3u, 5u, 0xffffffffu}) {
    TestTree address(bad, 1);
    EXPECT_FALSE(Opened(address).ChildCells(0, &cells)) << bad;
    TestTree size(1, bad);
    EXPECT_FALSE(Opened(size).ChildCells(0, &cells)) << bad;
  }
  TestTree good(2, 1);
  EXPECT_TRUE(Opened(good).ChildCells(0, &cells));
  EXPECT_EQ(cells.address, 2u);
  EXPECT_EQ(cells.size, 1u);
}

TEST(DeviceTree, RefusesListsOfBrokenRanges) {
  TestTree source;
  source.Cells("/", "list", {0, 1, 0, 2, 0, 3, 0, 4}).Cells("/", "odd", {0, 1, 0, 2, 0});
  const DeviceTree tree = Opened(source);
  const CellCounts cells{2, 2};
  PhysRange range;
  EXPECT_TRUE(tree.RangeAt(0, "list", cells, 1, &range));
  EXPECT_EQ(range, (PhysRange{PhysAddr::FromRaw(3), 4}));
  EXPECT_FALSE(tree.RangeAt(0, "list", cells, 2, &range));
  EXPECT_FALSE(tree.RangeAt(0, "odd", cells, 0, &range));
  EXPECT_FALSE(tree.RangeAt(0, "absent", cells, 0, &range));
}

TEST(DeviceTree, TranslatesOnlyThroughPlainBuses) {
  TestTree source;
  source.Node("/plain")
      .Node("/plain/d")
      .Node("/moved")
      .Node("/moved/d")
      .Node("/wall")
      .Node("/wall/d");
  for (const char* const bus : {"/plain", "/moved", "/wall"}) {
    source.Cells(bus, "#address-cells", {1}).Cells(bus, "#size-cells", {1});
    source.Cells(std::string(bus) + "/d", "reg", {0x1000, 0x100});
  }
  source.Bytes("/plain", "ranges", "").Cells("/moved", "ranges", {0, 0, 0x4000, 0x1000});
  const DeviceTree tree = Opened(source);
  PhysRange range;
  EXPECT_TRUE(tree.DeviceRange(tree.Find("/plain/d"), 0, &range));
  EXPECT_EQ(range, (PhysRange{PhysAddr::FromRaw(0x1000), 0x100}));
  EXPECT_FALSE(tree.DeviceRange(tree.Find("/plain/d"), 1, &range));
  EXPECT_FALSE(tree.DeviceRange(tree.Find("/moved/d"), 0, &range));
  EXPECT_FALSE(tree.DeviceRange(tree.Find("/wall/d"), 0, &range));
  EXPECT_FALSE(tree.DeviceRange(0, 0, &range));
}

}  // namespace
}  // namespace boot
