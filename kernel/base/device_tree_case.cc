// SPDX-License-Identifier: BSD-3-Clause
//
// The device tree, compared with what libfdt says of each node by itself.

#include <libfdt.h>
#include <string.h>

#include <string>

#include "kernel/base/device_tree.h"
#include "kernel/base/testing/fuzz_tree.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_case.h"

namespace {

using base::CellCounts;
using base::DeviceTree;
using base::PropertyValue;
using base::TreeNode;
using khocore::PhysRange;
using khocore::Span;

PropertyValue PropertyOf(const DeviceTree& tree, int node, const char* name) {
  int size = 0;
  const void* const value = fdt_getprop(tree.blob(), node, name, &size);
  if (value == nullptr) return {};
  return {static_cast<const uint8_t*>(value), static_cast<size_t>(size)};
}

bool Same(PropertyValue a, PropertyValue b) { return a.data == b.data && a.size == b.size; }

void CheckStrings(PropertyValue value) {
  const std::string text(reinterpret_cast<const char*>(value.data), value.size);
  const char* const first = base::FirstString(value);
  CASE_CHECK((first != nullptr) == (text.find('\0') != std::string::npos));
  if (first == nullptr) return;
  CASE_CHECK(strlen(first) < value.size);
  CASE_CHECK(base::HasString(value, first, strlen(first)));
  const std::string between = '\0' + text.substr(0, text.rfind('\0') + 1);
  const bool has = between.find(std::string("\0okay\0", 6)) != std::string::npos;
  CASE_CHECK(base::HasString(value, "okay") == has);
}

uint64_t CellsOf(PropertyValue value, uint64_t otherwise) {
  uint64_t number = otherwise;
  if (value.size == 4) number = fdt32_ld(reinterpret_cast<const fdt32_t*>(value.data));
  if (value.size == 8) number = fdt64_ld(reinterpret_cast<const fdt64_t*>(value.data));
  return number;
}

void CheckReg(const DeviceTree& tree, const TreeNode& node) {
  PhysRange range;
  size_t count = 0;
  while (node.Reg(count, &range)) ++count;
  if (node.parent == nullptr || !node.parent->child_cells.AreValid()) {
    CASE_CHECK(count == 0);
    return;
  }
  const size_t bytes = node.parent->child_cells.bytes();
  CASE_CHECK(count == (node.reg.size % bytes == 0 ? node.reg.size / bytes : 0));
  CASE_CHECK(!node.DeviceReg(count, &range));
  CASE_CHECK(tree.size() > node.reg.size);
}

void CheckNode(const DeviceTree& tree, const TreeNode& node) {
  const int offset = node.offset;
  CASE_CHECK(node.name == fdt_get_name(tree.blob(), offset, nullptr));
  CASE_CHECK(Same(node.compatible, PropertyOf(tree, offset, "compatible")));
  CASE_CHECK(Same(node.device_type, PropertyOf(tree, offset, "device_type")));
  CASE_CHECK(Same(node.status, PropertyOf(tree, offset, "status")));
  CASE_CHECK(Same(node.reg, PropertyOf(tree, offset, "reg")));
  CASE_CHECK(Same(node.ranges, PropertyOf(tree, offset, "ranges")));
  CASE_CHECK(Same(node.reg, tree.Property(offset, "reg")));
  CASE_CHECK(node.child_cells.address == CellsOf(PropertyOf(tree, offset, "#address-cells"), 2));
  CASE_CHECK(node.child_cells.size == CellsOf(PropertyOf(tree, offset, "#size-cells"), 1));
  CheckStrings(node.compatible);
  CheckStrings(node.status);
  CheckReg(tree, node);
}

}  // namespace

bool fuzz::RunCase(Span<const uint8_t> input) {
  const base::FuzzTree source(input);
  const auto opened = source.Open();
  if (!opened.ok()) return false;
  const DeviceTree& tree = opened.value();
  CASE_CHECK(tree.size() == source.size() && tree.blob() == source.blob());

  int want = 0;
  int depth = 0;
  const auto next = [&] { want = fdt_next_node(tree.blob(), want, &depth); };
  tree.Walk([&](const TreeNode& node) {
    CASE_CHECK(depth >= 0 && node.offset == want);
    int parents = 0;
    for (const TreeNode* up = node.parent; up != nullptr; up = up->parent) ++parents;
    CASE_CHECK(parents == depth);
    CheckNode(tree, node);
    do {
      next();
    } while (want >= 0 && depth > static_cast<int>(DeviceTree::kMaxDepth));
  });
  CASE_CHECK(want < 0 || depth < 0);

  const CellCounts cells = tree.RootCells();
  CASE_CHECK(cells.address == CellsOf(PropertyOf(tree, 0, "#address-cells"), 2));
  CASE_CHECK(tree.Property(-1, "reg").data == nullptr);
  return true;
}

std::map<std::string, std::string> fuzz::Seeds() { return base::MachineTrees(); }
