// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "khocore/function_ref.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace base {

/// The value of a property, of any length. `data` is null when there is no such property.
using PropertyValue = khocore::Span<const uint8_t>;

/// The first string in `value`, or null when it has no terminator.
const char* FirstString(PropertyValue value);
/// Whether one of the strings in `value` is the first `length` bytes of `text`.
bool HasString(PropertyValue value, const char* text, size_t length);
/// The same for a literal.
template <size_t kSize>
bool HasString(PropertyValue value, const char (&text)[kSize]) {
  return HasString(value, text, kSize - 1);
}
/// A number of one or two cells. False for any other length.
bool ReadNumber(PropertyValue value, uint64_t* number);

/// How many 32-bit cells an address and a size take in a list of ranges.
struct CellCounts {
  uint64_t address = 2;  ///< the defaults of the specification
  uint64_t size = 1;

  bool AreValid() const { return address >= 1 && address <= 2 && size >= 1 && size <= 2; }
  size_t bytes() const { return (address + size) * sizeof(uint32_t); }
};
/// Entry `index` of a list of ranges. False behind the end of the list, for a list that is no
/// multiple of an entry, and for counts that are not valid.
bool ReadRange(PropertyValue list, CellCounts cells, size_t index, khocore::PhysRange* range);

/// A node as a walk sees it: where it is, and the properties that tell what it is.
struct TreeNode {
  const TreeNode* parent;  ///< null for the root
  int offset;
  const char* name;
  PropertyValue compatible;
  PropertyValue device_type;
  PropertyValue status;
  PropertyValue reg;
  PropertyValue ranges;
  CellCounts child_cells;  ///< of the lists in nodes below this one; may be anything

  /// False when there is a `status` and it is neither "okay" nor "ok".
  bool IsEnabled() const;
  /// Whether this node lies directly below the root, or below the root's child `name`.
  bool IsInRoot() const { return parent != nullptr && parent->parent == nullptr; }
  bool IsIn(const char* name) const;
  /// Entry `index` of `reg` as it stands there.
  bool Reg(size_t index, khocore::PhysRange* range) const;
  /// The same as the CPU sees it: false as well when a bus above the node translates addresses.
  bool DeviceReg(size_t index, khocore::PhysRange* range) const;
};

/// A device tree that firmware or another kernel wrote: untrusted, checked as a whole when opened
/// and afterwards only read. The bytes belong to the caller and outlive the object.
class DeviceTree {
 public:
  /// The boot protocol's own bound.
  static constexpr uint64_t kMaxSize = uint64_t{2} << 20;
  /// Nodes deeper than this are not visited; the root has depth 0.
  static constexpr unsigned kMaxDepth = 15;

  DeviceTree() = default;

  /// Checks the tree at `blob`, of which `limit` bytes may be read. Errors: `kUnaligned` (8 bytes),
  /// `kFdtMagic`, `kFdtTotalSize` (beyond `limit` or `kMaxSize`), `kFdtStructure`.
  static khocore::Result<DeviceTree> Open(const void* blob, uint64_t limit);

  const void* blob() const { return blob_; }
  uint64_t size() const { return size_; }  ///< totalsize, free room included

  /// Visits every node once, parents before children. One pass, because libfdt starts at the root
  /// for each question about a single node, which costs a boot millions of instructions.
  void Walk(khocore::FunctionRef<void(const TreeNode& node)> visit) const;

  /// A property of the node at the offset `node`; -1 for one that is not there. The second form
  /// takes the name from the first `length` bytes of `name`.
  PropertyValue Property(int node, const char* name) const;
  PropertyValue Property(int node, const char* name, size_t length) const;
  CellCounts RootCells() const;

 private:
  const void* blob_ = nullptr;
  uint64_t size_ = 0;
};

/// Gets a line of text about something in the device tree that was not used, and why.
using Note = khocore::FunctionRef<void(const char* text)>;

}  // namespace base
