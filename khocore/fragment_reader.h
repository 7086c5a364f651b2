// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/fdt_view.h"
#include "khocore/function_ref.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace khocore {

/// Links nested deeper than this are refused.
inline constexpr unsigned kMaxFragmentDepth = 64;

/// A node of a fragment. Its reader returns it, and nobody else reads it. By itself the root.
class FragmentNode {
 public:
  constexpr FragmentNode() = default;

 private:
  friend class FragmentReader;
  explicit constexpr FragmentNode(uint32_t offset) : offset_(offset) {}
  uint32_t offset_ = 0;
};

/// A fragment that another kernel may have written: a flattened device tree of at most one page,
/// checked as a whole when opened (`FdtView::Open`). `where` of an error about a node is the
/// address of that node in the structure block. Names match whole: "a" is not "a@1".
class FragmentReader {
 public:
  FragmentReader() = default;

  /// Opens the fragment that is the blob of a link, or part of one: nothing that does not pass
  /// `LooksLikeFragment` opens. Errors: `kUnaligned` (a page), `kOutsideRam`, `kFdtMagic`,
  /// `kFdtTotalSize` (larger than the blob or a page, or less than a header), `kFdtStructure`.
  static Result<FragmentReader> Open(const PhysicalMemory& memory, PhysRange blob);

  PhysAddr address() const { return address_; }
  static constexpr FragmentNode root() { return {}; }

  /// The direct subnode `name` of `parent`, the first of that name. Errors: `kNotFound`.
  Result<FragmentNode> Subnode(FragmentNode parent, const char* name) const;
  /// Errors: `kNotFound`.
  Result<Span<const uint8_t>> Property(FragmentNode node, const char* name) const;
  /// A CPU-native u64; the bytes may be unaligned. Errors: `kNotFound`, `kPropertySize`.
  Result<uint64_t> PropertyU64(FragmentNode node, const char* name) const;
  /// A string with its terminator inside the property. Errors: `kNotFound`, `kPropertySize`.
  Result<const char*> PropertyString(FragmentNode node, const char* name) const;

  /// Whether a node has a property of a link (see `FragmentWriter::Link`).
  bool IsLink(FragmentNode node) const;
  /// The blob of a link, its size checked against zero but not against memory.
  /// Errors: `kDataMissing`, `kBlobSizeMissing`, `kPropertySize`, `kBlobSizeRange`.
  Result<PhysRange> Link(FragmentNode node) const;

  /// Calls `visit` for every direct subnode of `parent`; an error ends the loop and is returned.
  Status ForEachSubnode(FragmentNode parent,
                        FunctionRef<Status(FragmentNode node, const char* name)> visit) const;

  /// Moves `node` to the next one of the fragment, whatever its depth, and `depth`, which is 0 at
  /// the root, with it. False behind the last node.
  bool NextNode(FragmentNode* node, uint32_t* depth) const {
    return tree_.NextNode(&node->offset_, depth);
  }

  /// The physical address of a node.
  PhysAddr NodeAddress(FragmentNode node) const;

 private:
  PhysAddr address_;
  FdtView tree_;
};

/// Whether a link's blob is meant as a fragment: it begins on a page boundary with the FDT magic,
/// and it is a page or says to be no more than one. False outside RAM.
bool LooksLikeFragment(const PhysicalMemory& memory, PhysRange blob);

}  // namespace khocore
