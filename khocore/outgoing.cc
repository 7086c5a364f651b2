// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/outgoing.h"

#include <libfdt.h>
#include <string.h>

#include "khocore/abi/handover.h"

namespace khocore {
namespace {

constexpr int kRootNode = 0;

/// Bytes that a property with a value of `size` bytes takes in the structure block.
constexpr uint64_t PropertyBytes(uint64_t size) {
  return sizeof(struct fdt_property) + AlignUp(size, FDT_TAGSIZE);
}

/// Bytes that a client takes in the structure block.
uint64_t ClientBytes(const char* name) {
  return sizeof(struct fdt_node_header) + AlignUp(strlen(name) + 1, FDT_TAGSIZE) +
         2 * PropertyBytes(sizeof(uint64_t)) + FDT_TAGSIZE;
}

int WriteRoot(void* fdt, PhysAddr map) {
  const uint64_t value = map.raw();
  int error = fdt_create_empty_tree(fdt, kPageSize);
  if (error == 0) {
    error = fdt_setprop_string(fdt, kRootNode, abi::kCompatibleProperty, abi::kCompatible);
  }
  if (error == 0) {
    error = fdt_setprop(fdt, kRootNode, abi::kMemoryMapProperty, &value, sizeof(value));
  }
  return error;
}

int WriteClient(void* fdt, const char* name, PhysRange blob) {
  const uint64_t data = blob.begin.raw();
  const int node = fdt_add_subnode(fdt, kRootNode, name);
  if (node < 0) return node;
  const int error = fdt_setprop(fdt, node, abi::kDataProperty, &data, sizeof(data));
  if (error != 0) return error;
  return fdt_setprop(fdt, node, abi::kSizeProperty, &blob.size, sizeof(blob.size));
}

}  // namespace

Result<Outgoing> Outgoing::Create(const PhysicalMemory& memory, PageSource& pages,
                                  Tracker& tracker) {
  const Result<PageFrame> page = pages.AllocatePage();
  if (!page.ok()) return page.error();
  Outgoing outgoing;
  outgoing.root_ = page.value();
  const PhysAddr address = outgoing.root_.address();
  outgoing.fdt_ = memory.Find({address, kPageSize});

  Status status = Ok{};
  if (outgoing.fdt_ == nullptr) {
    status = Error{ErrorCode::kOutsideRam, address, kPageSize};
  } else if (WriteRoot(outgoing.fdt_, tracker.root().address()) != 0) {
    status = Error{ErrorCode::kFdtStructure, address};
  } else {
    status = tracker.Preserve({outgoing.root_, Order::FromLog2(0)});
  }
  if (status.ok()) return outgoing;
  pages.FreePage(outgoing.root_);
  return status.error();
}

Status Outgoing::AddClient(const char* name, PhysRange blob) {
  if (blob.size == 0) return Error{ErrorCode::kBlobSizeRange, blob.begin, 0, 1};
  if (fdt_subnode_offset(fdt_, kRootNode, name) >= 0) {
    return Error{ErrorCode::kAlreadyPreserved, root_.address()};
  }
  // Whether there is room is known before the first write, so there is nothing to take back.
  const uint64_t used = fdt_off_dt_strings(fdt_) + fdt_size_dt_strings(fdt_);
  uint64_t needed = ClientBytes(name);
  if (!has_names_) needed += sizeof(abi::kDataProperty) + sizeof(abi::kSizeProperty);
  if (used + needed > kPageSize) {
    return Error{ErrorCode::kNoSpace, root_.address(), used + needed, kPageSize};
  }
  if (WriteClient(fdt_, name, blob) != 0) return Error{ErrorCode::kFdtStructure, root_.address()};
  has_names_ = true;
  return Ok{};
}

Status Outgoing::RemoveClient(const char* name) {
  const int node = fdt_subnode_offset(fdt_, kRootNode, name);
  if (node < 0) return Error{ErrorCode::kNotFound, root_.address()};
  if (fdt_del_node(fdt_, node) != 0) return Error{ErrorCode::kFdtStructure, root_.address()};
  return Ok{};
}

}  // namespace khocore
