// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/device_tree.h"

#include <libfdt.h>
#include <string.h>

#include "khocore/fdt_view.h"

namespace base {

using khocore::Error;
using khocore::ErrorCode;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;

namespace {

constexpr size_t kCellBytes = sizeof(uint32_t);

uint64_t ReadCells(const uint8_t* bytes, uint64_t cells) {
  uint64_t value = 0;
  for (unsigned i = 0; i < cells * kCellBytes; ++i) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

const char* FirstString(PropertyValue value) {
  if (value.size == 0 || memchr(value.data, '\0', value.size) == nullptr) return nullptr;
  return reinterpret_cast<const char*>(value.data);
}

bool HasString(PropertyValue value, const char* text, size_t length) {
  while (value.size > length) {
    const void* const found = memchr(value.data, '\0', value.size);
    if (found == nullptr) return false;
    const auto* const end = static_cast<const uint8_t*>(found);
    const auto bytes = static_cast<size_t>(end - value.data);
    if (bytes == length && memcmp(value.data, text, length) == 0) return true;
    value = {end + 1, value.size - bytes - 1};
  }
  return false;
}

bool ReadNumber(PropertyValue value, uint64_t* number) {
  if (value.size != kCellBytes && value.size != 2 * kCellBytes) return false;
  *number = ReadCells(value.data, value.size / kCellBytes);
  return true;
}

bool ReadRange(PropertyValue list, CellCounts cells, size_t index, PhysRange* range) {
  if (!cells.AreValid()) return false;
  if (list.size % cells.bytes() != 0 || index >= list.size / cells.bytes()) return false;
  const uint8_t* const at = list.data + index * cells.bytes();
  *range = {PhysAddr::FromRaw(ReadCells(at, cells.address)),
            ReadCells(at + cells.address * kCellBytes, cells.size)};
  return true;
}

bool TreeNode::IsEnabled() const {
  return status.data == nullptr || HasString(status, "okay") || HasString(status, "ok");
}

bool TreeNode::IsIn(const char* wanted) const {
  return parent != nullptr && parent->IsInRoot() && strcmp(wanted, parent->name) == 0;
}

bool TreeNode::Reg(size_t index, PhysRange* range) const {
  return parent != nullptr && ReadRange(reg, parent->child_cells, index, range);
}

bool TreeNode::DeviceReg(size_t index, PhysRange* range) const {
  // An empty `ranges` says that the addresses below a bus are those above it.
  for (const TreeNode* bus = parent; bus != nullptr && bus->parent != nullptr; bus = bus->parent) {
    if (bus->ranges.data == nullptr || bus->ranges.size != 0) return false;
  }
  return Reg(index, range);
}

Result<DeviceTree> DeviceTree::Open(const void* blob, uint64_t limit) {
  const auto raw = reinterpret_cast<uint64_t>(blob);
  const PhysAddr where = PhysAddr::FromRaw(raw);
  if (raw % 8 != 0) return Error{ErrorCode::kUnaligned, where, raw, 8};
  if (limit < sizeof(fdt_header)) {
    return Error{ErrorCode::kFdtTotalSize, where, limit, sizeof(fdt_header)};
  }
  if (fdt_magic(blob) != FDT_MAGIC) {
    return Error{ErrorCode::kFdtMagic, where, fdt_magic(blob), FDT_MAGIC};
  }
  const uint64_t size = fdt_totalsize(blob);
  const uint64_t most = limit < kMaxSize ? limit : kMaxSize;
  if (size < sizeof(fdt_header) || size > most) {
    return Error{ErrorCode::kFdtTotalSize, where, size, most};
  }
  // Before version 17 the header does not say how long the structure is. The check is khocore's
  // own: libfdt's `fdt_check_full` may read the same tag forever, until its version 1.6.1 at least.
  if (fdt_version(blob) < 17 || !khocore::FdtView().Open(blob, static_cast<uint32_t>(size))) {
    return Error{ErrorCode::kFdtStructure, where, size};
  }
  DeviceTree tree;
  tree.blob_ = blob;
  tree.size_ = size;
  return tree;
}

PropertyValue DeviceTree::Property(int node, const char* name) const {
  return Property(node, name, strlen(name));
}

PropertyValue DeviceTree::Property(int node, const char* name, size_t length) const {
  int size = 0;
  const void* const bytes = fdt_getprop_namelen(blob_, node, name, static_cast<int>(length), &size);
  if (bytes == nullptr || size < 0) return {};
  return {static_cast<const uint8_t*>(bytes), static_cast<size_t>(size)};
}

CellCounts DeviceTree::RootCells() const {
  CellCounts cells;
  (void)ReadNumber(Property(0, "#address-cells"), &cells.address);
  (void)ReadNumber(Property(0, "#size-cells"), &cells.size);
  return cells;
}

}  // namespace base
