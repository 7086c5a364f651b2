// SPDX-License-Identifier: BSD-3-Clause
#include "boot/device_tree.h"

#include <libfdt.h>
#include <string.h>

namespace boot {

using khocore::Error;
using khocore::ErrorCode;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;
using khocore::Span;

namespace {

constexpr size_t kCellBytes = 4;

uint64_t ReadCells(const uint8_t* bytes, unsigned cells) {
  uint64_t value = 0;
  for (unsigned i = 0; i < cells * kCellBytes; ++i) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

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
  // Before version 17 the header does not say how long the structure is.
  if (fdt_version(blob) < 17 || fdt_check_full(blob, size) != 0) {
    return Error{ErrorCode::kFdtStructure, where, size};
  }
  DeviceTree tree;
  tree.blob_ = blob;
  tree.size_ = size;
  return tree;
}

int DeviceTree::Find(const char* path) const { return Find(path, strlen(path)); }

int DeviceTree::Find(const char* path, size_t length) const {
  const int node = fdt_path_offset_namelen(blob_, path, static_cast<int>(length));
  return node < 0 ? -1 : node;
}

int DeviceTree::FindCompatible(int after, const char* name) const {
  const int node = fdt_node_offset_by_compatible(blob_, after, name);
  return node < 0 ? -1 : node;
}

int DeviceTree::FirstChild(int parent) const {
  const int node = fdt_first_subnode(blob_, parent);
  return node < 0 ? -1 : node;
}

int DeviceTree::NextChild(int node) const {
  const int next = fdt_next_subnode(blob_, node);
  return next < 0 ? -1 : next;
}

bool DeviceTree::IsEnabled(int node) const {
  if (Property(node, "status").data == nullptr) return true;
  const char* const status = String(node, "status");
  return status != nullptr && (strcmp(status, "okay") == 0 || strcmp(status, "ok") == 0);
}

bool DeviceTree::IsCompatible(int node, const char* name) const {
  return fdt_node_check_compatible(blob_, node, name) == 0;
}

Span<const uint8_t> DeviceTree::Property(int node, const char* name) const {
  int length = 0;
  const void* const bytes = fdt_getprop(blob_, node, name, &length);
  if (bytes == nullptr || length < 0) return {};
  return {static_cast<const uint8_t*>(bytes), static_cast<size_t>(length)};
}

const char* DeviceTree::String(int node, const char* name) const {
  const Span<const uint8_t> bytes = Property(node, name);
  if (bytes.size == 0 || memchr(bytes.data, '\0', bytes.size) == nullptr) return nullptr;
  return reinterpret_cast<const char*>(bytes.data);
}

bool DeviceTree::Number(int node, const char* name, uint64_t* value) const {
  const Span<const uint8_t> bytes = Property(node, name);
  if (bytes.size != kCellBytes && bytes.size != 2 * kCellBytes) return false;
  *value = ReadCells(bytes.data, static_cast<unsigned>(bytes.size / kCellBytes));
  return true;
}

bool DeviceTree::ChildCells(int node, CellCounts* cells) const {
  const int address = fdt_address_cells(blob_, node);
  const int size = fdt_size_cells(blob_, node);
  if (address < 1 || address > 2 || size < 1 || size > 2) return false;
  *cells = {static_cast<unsigned>(address), static_cast<unsigned>(size)};
  return true;
}

bool DeviceTree::RangeAt(int node, const char* name, CellCounts cells, size_t index,
                         PhysRange* range) const {
  const Span<const uint8_t> bytes = Property(node, name);
  const size_t entry = (cells.address + cells.size) * kCellBytes;
  if (bytes.size % entry != 0 || index >= bytes.size / entry) return false;
  const uint8_t* const at = bytes.data + index * entry;
  *range = {PhysAddr::FromRaw(ReadCells(at, cells.address)),
            ReadCells(at + cells.address * kCellBytes, cells.size)};
  return true;
}

bool DeviceTree::DeviceRange(int node, size_t index, PhysRange* range) const {
  const int parent = fdt_parent_offset(blob_, node);
  CellCounts cells;
  if (parent < 0 || !ChildCells(parent, &cells)) return false;
  // An empty `ranges` says that the addresses below a bus are those above it.
  for (int bus = parent; bus > 0; bus = fdt_parent_offset(blob_, bus)) {
    const Span<const uint8_t> ranges = Property(bus, "ranges");
    if (ranges.data == nullptr || ranges.size != 0) return false;
  }
  return RangeAt(node, "reg", cells, index, range);
}

}  // namespace boot
