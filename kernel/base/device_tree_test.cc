// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/device_tree.h"

#include <gtest/gtest.h>
#include <libfdt.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "kernel/base/testing/guarded_bytes.h"
#include "kernel/base/testing/test_tree.h"

namespace base {
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

/// libfdt 1.6.1 adds such a length in 32 bits and comes back to a tag that it has seen; its
/// `fdt_check_full` then never ends.
TEST(DeviceTreeOpen, RefusesLengthsThatWrapAround) {
  constexpr unsigned kSeconds = 10;  // for all of them, which take no time
  TestTree tree;
  auto* const property = static_cast<char*>(tree.blob()) + fdt_off_dt_struct(tree.blob()) +
                         fdt_first_property_offset(tree.blob(), 0);
  alarm(kSeconds);
  for (uint32_t below = 1; below <= 64; ++below) {
    fdt32_st(property + offsetof(struct fdt_property, len), -below);
    EXPECT_EQ(OpenError(tree.blob(), tree.size()), ErrorCode::kFdtStructure) << below;
  }
  alarm(0);
}

/// The offset of the node at `path` in `source`.
int OffsetOf(const TestTree& source, const char* path) {
  return fdt_path_offset(source.blob(), path);
}

std::vector<std::string> NamesOf(const TestTree& source) {
  std::vector<std::string> names;
  Opened(source).Walk([&](const TreeNode& node) { names.push_back(node.name); });
  return names;
}

/// Calls `check` for the one node of that name.
void WithNode(const TestTree& source, const std::string& name,
              const std::function<void(const TreeNode&)>& check) {
  int found = 0;
  Opened(source).Walk([&](const TreeNode& node) {
    if (node.name != name) return;
    ++found;
    check(node);
  });
  EXPECT_EQ(found, 1) << name;
}

PropertyValue Value(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

TEST(DeviceTreeWalk, VisitsParentsFirst) {
  TestTree source;
  source.Node("/b").Node("/b/y").Node("/b/x").Node("/a");  // libfdt adds in front
  EXPECT_EQ(NamesOf(source), (std::vector<std::string>{"", "a", "b", "x", "y"}));
}

TEST(DeviceTreeWalk, StopsAtItsDepth) {
  TestTree source;
  std::string path;
  for (unsigned depth = 1; depth <= DeviceTree::kMaxDepth + 3; ++depth) {
    path += "/" + std::to_string(depth);
    source.Node(path).String(path, "compatible", "x");
  }
  source.Node("/1/z");
  const std::vector<std::string> names = NamesOf(source);
  EXPECT_EQ(names.size(), DeviceTree::kMaxDepth + 2u);  // the root and "z", too
  EXPECT_EQ(names.back(), std::to_string(DeviceTree::kMaxDepth));
}

TEST(DeviceTreeWalk, GathersWhatTellsANode) {
  TestTree source;
  source.Node("/bus").Node("/bus/a").Node("/other").Node("/other/bus").Node("/other/bus/b");
  source.Cells("/bus", "#address-cells", {1}).Cells("/bus", "#size-cells", {7});
  source.String("/bus/a", "compatible", "x,y").String("/bus/a", "device_type", "t");
  source.String("/bus/a", "status", "s").String("/bus/a", "unknown", "u");
  source.Cells("/bus/a", "reg", {1, 2}).Bytes("/bus", "ranges", "");
  WithNode(source, "a", [&](const TreeNode& node) {
    EXPECT_EQ(node.offset, OffsetOf(source, "/bus/a"));
    EXPECT_STREQ(FirstString(node.compatible), "x,y");
    EXPECT_STREQ(FirstString(node.device_type), "t");
    EXPECT_STREQ(FirstString(node.status), "s");
    EXPECT_EQ(node.reg.size, 8u);
    EXPECT_EQ(node.ranges.data, nullptr);
    EXPECT_EQ(node.child_cells.address, 2u);
    EXPECT_EQ(node.child_cells.size, 1u);
    EXPECT_STREQ(node.parent->name, "bus");
    EXPECT_NE(node.parent->ranges.data, nullptr);
    EXPECT_EQ(node.parent->ranges.size, 0u);
    EXPECT_EQ(node.parent->child_cells.address, 1u);
    EXPECT_EQ(node.parent->child_cells.size, 7u);
    EXPECT_EQ(node.parent->parent->parent, nullptr);
    EXPECT_TRUE(node.IsIn("bus"));
    EXPECT_FALSE(node.IsIn("other"));
    EXPECT_FALSE(node.IsInRoot());
  });
  WithNode(source, "b", [](const TreeNode& node) { EXPECT_FALSE(node.IsIn("bus")); });
  WithNode(source, "other", [](const TreeNode& node) {
    EXPECT_EQ(node.compatible.data, nullptr);
    EXPECT_TRUE(node.IsInRoot());
    EXPECT_FALSE(node.IsIn("bus"));
  });
  WithNode(source, "", [](const TreeNode& node) {
    EXPECT_FALSE(node.IsInRoot());
    EXPECT_FALSE(node.IsIn(""));
  });
}

TEST(DeviceTree, ReadsStatus) {
  TestTree source;
  source.Node("/none").Node("/okay").Node("/ok").Node("/off").Node("/cut");
  source.String("/okay", "status", "okay").String("/ok", "status", "ok");
  source.String("/off", "status", "disabled").Bytes("/cut", "status", "okay");
  const auto enabled = [&](const char* name) {
    bool is_enabled = false;
    WithNode(source, name, [&](const TreeNode& node) { is_enabled = node.IsEnabled(); });
    return is_enabled;
  };
  EXPECT_TRUE(enabled("none"));
  EXPECT_TRUE(enabled("okay"));
  EXPECT_TRUE(enabled("ok"));
  EXPECT_FALSE(enabled("off"));
  EXPECT_FALSE(enabled("cut"));
}

TEST(DeviceTree, ReadsPropertiesOfNodes) {
  TestTree source;
  source.Node("/aliases").String("/aliases", "serial0", "/uart");
  const int node = OffsetOf(source, "/aliases");
  const DeviceTree tree = Opened(source);
  EXPECT_STREQ(FirstString(tree.Property(node, "serial0")), "/uart");
  EXPECT_STREQ(FirstString(tree.Property(node, "serial0:115200", 7)), "/uart");
  EXPECT_EQ(tree.Property(node, "serial").data, nullptr);
  EXPECT_EQ(tree.Property(-1, "serial0").data, nullptr);
}

TEST(PropertyValue, FindsStringsInLists) {
  const std::string list("one\0two\0", 8);
  EXPECT_STREQ(FirstString(Value(list)), "one");
  EXPECT_TRUE(HasString(Value(list), "one"));
  EXPECT_TRUE(HasString(Value(list), "two"));
  EXPECT_FALSE(HasString(Value(list), "tw"));
  EXPECT_FALSE(HasString(Value(list), "twoo"));
  EXPECT_FALSE(HasString(Value(list.substr(0, 7)), "two"));  // not terminated
  EXPECT_EQ(FirstString(Value("abc")), nullptr);
  EXPECT_EQ(FirstString({}), nullptr);
  EXPECT_FALSE(HasString({}, ""));
  EXPECT_TRUE(HasString(Value(std::string(1, '\0')), ""));
}

TEST(PropertyValue, IsANumberOfOneOrTwoCells) {
  uint64_t number = 0;
  EXPECT_TRUE(ReadNumber(Value("\x12\x34\x56\x78"), &number));
  EXPECT_EQ(number, 0x12345678u);
  EXPECT_TRUE(ReadNumber(Value(std::string("\0\0\0\1\0\0\0\2", 8)), &number));
  EXPECT_EQ(number, 0x100000002u);
  for (const size_t size : {0, 3, 5, 12}) {
    EXPECT_FALSE(ReadNumber(Value(std::string(size, 'x')), &number)) << size;
  }
}

TEST(PropertyValue, IsAListOfRanges) {
  const std::string list = std::string(3, '\0') + "\1" + std::string(3, '\0') + "\2" +
                           std::string(3, '\0') + "\3" + std::string(3, '\0') + "\4";
  PhysRange range;
  EXPECT_TRUE(ReadRange(Value(list), {1, 1}, 1, &range));
  EXPECT_EQ(range, (PhysRange{PhysAddr::FromRaw(3), 4}));
  EXPECT_TRUE(ReadRange(Value(list), {2, 2}, 0, &range));
  EXPECT_EQ(range, (PhysRange{PhysAddr::FromRaw(0x100000002), 0x300000004}));
  EXPECT_FALSE(ReadRange(Value(list), {1, 1}, 2, &range));
  EXPECT_FALSE(ReadRange(Value(list), {2, 1}, 0, &range));  // no multiple of 12 bytes
  EXPECT_FALSE(ReadRange({}, {1, 1}, 0, &range));
}

TEST(PropertyValue, RefusesCellCountsOutOfRange) {
  const std::string list(64, '\0');
  PhysRange range;
  for (const uint64_t bad : {uint64_t{0}, uint64_t{3}, uint64_t{0xffffffff}, ~uint64_t{0}}) {
    EXPECT_FALSE((CellCounts{bad, 1}.AreValid())) << bad;
    EXPECT_FALSE((CellCounts{1, bad}.AreValid())) << bad;
    EXPECT_FALSE(ReadRange(Value(list), {bad, 1}, 0, &range)) << bad;
    EXPECT_FALSE(ReadRange(Value(list), {1, bad}, 0, &range)) << bad;
  }
}

TEST(DeviceTree, ReadsTheRootsCells) {
  TestTree source(1, 2);
  EXPECT_EQ(Opened(source).RootCells().address, 1u);
  EXPECT_EQ(Opened(source).RootCells().size, 2u);
  fdt_delprop(source.blob(), 0, "#address-cells");
  fdt_delprop(source.blob(), 0, "#size-cells");
  EXPECT_EQ(Opened(source).RootCells().address, 2u);  // the specification's defaults
  EXPECT_EQ(Opened(source).RootCells().size, 1u);
}

TEST(DeviceTree, TranslatesOnlyThroughPlainBuses) {
  TestTree source(1, 1);
  for (const std::string bus : {"plain", "moved", "wall"}) {
    source.Node("/" + bus).Node("/" + bus + "/in-" + bus);
    source.Cells("/" + bus, "#address-cells", {1}).Cells("/" + bus, "#size-cells", {1});
    source.Cells("/" + bus + "/in-" + bus, "reg", {0x1000, 0x100});
  }
  source.Bytes("/plain", "ranges", "").Cells("/moved", "ranges", {0, 0x4000, 0x1000});
  source.Node("/direct").Cells("/direct", "reg", {0x1000, 0x100});
  for (const std::string name : {"direct", "in-plain", "in-moved", "in-wall"}) {
    const bool visible = name == "direct" || name == "in-plain";
    WithNode(source, name, [&](const TreeNode& node) {
      PhysRange range;
      EXPECT_EQ(node.DeviceReg(0, &range), visible) << name;
      EXPECT_TRUE(node.Reg(0, &range)) << name;
      EXPECT_EQ(range, (PhysRange{PhysAddr::FromRaw(0x1000), 0x100}));
      EXPECT_FALSE(node.DeviceReg(1, &range));
    });
  }
  WithNode(source, "", [](const TreeNode& root) {
    PhysRange range;
    EXPECT_FALSE(root.DeviceReg(0, &range));
  });
}

}  // namespace
}  // namespace base
