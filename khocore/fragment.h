// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/function_ref.h"
#include "khocore/page_source.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/tracker.h"
#include "khocore/types.h"

namespace khocore {

/// Links nested deeper than this are refused.
inline constexpr unsigned kMaxFragmentDepth = 64;

/// Writes one fragment: a flattened device tree of at most one page. Open, write front to back,
/// close; nobody else is involved, so any number of fragments can be written at the same time.
///
/// A full page fails with `kNoSpace`; the caller then drops this fragment, writes it again with
/// less and goes on in another one. A writer that goes out of scope unclosed gives its page back.
class FragmentWriter {
 public:
  /// Takes a page from `pages`. `status()` tells whether that worked; all three outlive the writer.
  FragmentWriter(const PhysicalMemory& memory, PageSource& pages, Tracker& tracker,
                 const char* compatible);
  ~FragmentWriter();
  FragmentWriter(const FragmentWriter&) = delete;
  FragmentWriter& operator=(const FragmentWriter&) = delete;

  /// The first error so far; every later call returns it again, so a caller may check once.
  Status status() const { return status_; }

  // Errors of all these: `kNoSpace`, `kFdtStructure` when there is no node to end, when a property
  // follows a subnode, or after `Close`.

  Status BeginNode(const char* name);
  Status EndNode();
  Status Property(const char* name, Span<const uint8_t> value);
  Status PropertyU64(const char* name, uint64_t value);  ///< CPU-native, as the ABI wants
  Status PropertyString(const char* name, const char* value);

  /// A subnode that points to `size` bytes of preserved memory at `data`: another fragment (`size`
  /// is a page) or a plain blob.
  Status Link(const char* name, PhysAddr data, uint64_t size);

  /// Finishes the tree, preserves the page and returns it; the page now belongs to the tracker's
  /// owner. Errors: the first error so far, `kFdtStructure` when a node is still open or the
  /// fragment was closed before, and what `Tracker::Preserve` says; the page is then given back.
  Result<PageFrame> Close();

 private:
  Status Check(int fdt_error);
  bool IsOpen();
  uint64_t UsedBytes() const;
  void Drop();

  PageSource& pages_;
  Tracker& tracker_;
  Status status_ = Ok{};
  PageFrame page_;
  void* fdt_ = nullptr;
  unsigned depth_ = 0;  ///< open nodes below the root
  bool after_subnode_ = false;
};

/// A fragment that another kernel may have written, checked as a whole when opened: afterwards
/// libfdt's read functions are safe on it. `where` of an error about a node is the address of that
/// node in the structure block.
class FragmentReader {
 public:
  FragmentReader() = default;

  /// Errors: `kUnaligned` (8 bytes), `kOutsideRam`, `kFdtMagic`, `kFdtTotalSize`, `kFdtStructure`.
  static Result<FragmentReader> Open(const PhysicalMemory& memory, PhysAddr address);

  PhysAddr address() const { return address_; }
  const void* fdt() const { return fdt_; }
  int root() const { return 0; }

  /// The node `name` below `parent`. Errors: `kNotFound`.
  Result<int> Subnode(int parent, const char* name) const;
  /// Errors: `kNotFound`.
  Result<Span<const uint8_t>> Property(int node, const char* name) const;
  /// A CPU-native u64; the bytes may be unaligned. Errors: `kNotFound`, `kPropertySize`.
  Result<uint64_t> PropertyU64(int node, const char* name) const;
  /// A string with its terminator inside the property. Errors: `kNotFound`, `kPropertySize`.
  Result<const char*> PropertyString(int node, const char* name) const;

  /// A link (see `FragmentWriter::Link`), its size checked against zero but not against memory.
  /// Errors: `kDataMissing`, `kBlobSizeMissing`, `kPropertySize`, `kBlobSizeRange`.
  Result<PhysRange> Link(int node) const;

  /// Calls `visit` for every direct subnode of `parent`; an error ends the loop and is returned.
  Status ForEachSubnode(int parent, FunctionRef<Status(int node, const char* name)> visit) const;

  /// The physical address of a node.
  PhysAddr NodeAddress(int node) const;

 private:
  PhysAddr address_;
  const void* fdt_ = nullptr;
};

/// Whether a link's blob is meant as a fragment: it begins on a page boundary with the FDT magic,
/// and it is a page or says to be no more than one. False outside RAM.
bool LooksLikeFragment(const PhysicalMemory& memory, PhysRange blob);

}  // namespace khocore
