// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/base/device_tree.h"
#include "khocore/types.h"

namespace boot {

/// Writes changes into a device tree that has free room, and remembers libfdt's first error. After
/// one it may go on; the tree is good for nothing then.
class TreeEditor {
 public:
  /// `cells` are those of ranges.
  TreeEditor(void* fdt, base::CellCounts cells) : fdt_(fdt), cells_(cells) {}

  /// Takes a result of libfdt; returns it.
  int Check(int result) {
    if (error_ == 0 && result < 0) error_ = result;
    return result;
  }
  int error() const { return error_; }
  void* fdt() { return fdt_; }
  base::CellCounts cells() const { return cells_; }

  /// The last child of `parent` that has exactly this name, as the readers of khorig find it, made
  /// when there is none. libfdt itself takes "name@1" for "name".
  int Child(int parent, const char* name);
  /// As often as there is such a property; it is fine when there is none.
  void Delete(int node, const char* name);
  void SetU32(int node, const char* name, uint32_t value);
  void SetU64(int node, const char* name, uint64_t value);
  void SetString(int node, const char* name, const char* value);
  void SetEmpty(int node, const char* name);
  /// One range as the property's value, or behind those that it has. `-FDT_ERR_BADNCELLS` for a
  /// number that does not fit into its cells.
  void SetRange(int node, const char* name, khocore::PhysRange range);
  void AppendRange(int node, const char* name, khocore::PhysRange range);

 private:
  static constexpr size_t kMaxRangeBytes = 16;
  size_t PutRange(khocore::PhysRange range, uint8_t (&bytes)[kMaxRangeBytes]);

  void* fdt_;
  base::CellCounts cells_;
  int error_ = 0;
};

}  // namespace boot
