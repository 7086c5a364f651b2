// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/abi/fdt.h"
#include "khocore/types.h"

namespace khocore {

/// A flattened device tree that somebody else may have written (`abi/fdt.h` has the format), read
/// in place. A node is named by its offset in the structure block; the root is 0.
///
/// `Open` checks the whole tree. Every read checks its own bounds again, so a tree that is changed
/// behind the view's back gives wrong answers, never a read outside of its bytes.
class FdtView {
 public:
  FdtView() = default;

  /// Views the tree of `size` bytes at `bytes`, which is aligned to 8 bytes and outlives the view;
  /// `size` is at least that of the header. False unless all of this holds:
  /// - the header has a version that is known here, and all blocks lie within `size`, aligned and
  ///   behind the header;
  /// - the memory reservations end;
  /// - the structure block is one node without a name, the root, at offset 0, closed by its own end
  ///   and followed by `kFdtEnd`; all tags are known and lie inside the block with all that is
  ///   theirs; every name ends inside its block.
  /// This refuses whatever libfdt's `fdt_check_full` refuses.
  bool Open(const void* bytes, uint32_t size);

  /// The offset of the structure block from the start of the tree.
  uint64_t structure() const { return static_cast<uint64_t>(structure_ - bytes_); }

  /// The name of a node. Null when there is no node at this offset.
  const char* Name(uint32_t node) const;

  /// Moves `node` to the next one in the order of the structure block, and `depth` to where that
  /// lies: 0 for the node that a caller starts from, 1 for its direct subnodes. False behind the
  /// last node below the one of depth 0.
  bool NextNode(uint32_t* node, uint32_t* depth) const;

  /// The first direct subnode of `parent` with this name, the whole of it: "a" is not "a@1". False
  /// when there is none.
  bool FindSubnode(uint32_t parent, const char* name, uint32_t* node) const;

  /// The property `name` of `node`, one of those in front of its first subnode. False when there is
  /// none.
  bool FindProperty(uint32_t node, const char* name, Span<const uint8_t>* value) const;

 private:
  bool OpenBlocks(const abi::FdtHeader& header, uint32_t size);
  bool ReservationsEnd(const abi::FdtHeader& header, uint32_t size) const;
  bool IsOneTree() const;

  /// A tag with what belongs to it, all inside its block.
  struct Tag {
    uint32_t kind;  ///< `kNoTag` when it is unknown or does not fit
    uint32_t next;  ///< offset of the tag behind it
    uint32_t name;  ///< of a property: offset in the strings block
    uint32_t size;  ///< of a property: bytes of the value
  };
  static constexpr uint32_t kNoTag = 0;

  /// The tag at `at`, a multiple of the tag size.
  Tag ReadTag(uint32_t at) const;
  uint32_t Word(uint32_t at) const;
  bool HasName(const Tag& property, const char* name) const;

  const uint8_t* bytes_ = nullptr;
  const uint8_t* structure_ = nullptr;
  const char* strings_ = nullptr;
  uint32_t structure_size_ = 0;  ///< a multiple of the tag size
  uint32_t names_size_ = 0;      ///< bytes of the strings block up to its last NUL
};

}  // namespace khocore
