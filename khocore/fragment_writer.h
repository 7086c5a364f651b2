// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/page_source.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/tracker.h"
#include "khocore/types.h"

namespace khocore {

/// A string with its NUL, that somebody else owns. A constant of this type need not be measured.
struct Text {
  constexpr Text(const char* text)  // NOLINT: meant to convert
      : begin(text), size(__builtin_strlen(text) + 1) {}
  /// `size` includes the NUL.
  constexpr Text(const char* text, size_t size) : begin(text), size(size) {}

  const char* begin;
  size_t size;
};

/// Writes one fragment: a flattened device tree of at most one page (`abi/fdt.h`), byte for byte
/// what libfdt's sequential writer makes of the same calls. Open, write front to back, close;
/// nobody else is involved, so any number of fragments can be written at the same time.
///
/// A full page fails with `kNoSpace`; the caller then drops this fragment, writes it again with
/// less and goes on in another one. A writer that goes out of scope unclosed gives its page back.
class FragmentWriter {
 public:
  /// Takes a page from `pages`. `status()` is the error, if any; all three outlive the writer.
  FragmentWriter(const PhysicalMemory& memory, PageSource& pages, Tracker& tracker,
                 Text compatible);
  ~FragmentWriter();
  FragmentWriter(const FragmentWriter&) = delete;
  FragmentWriter& operator=(const FragmentWriter&) = delete;

  /// The first error so far; every later call returns it again, so a caller may check once.
  Status status() const { return status_; }

  // Errors of all these: `kNoSpace`, `kFdtStructure` when there is no node to end, when a property
  // follows a subnode, or after `Close`.

  Status BeginNode(Text name);
  Status EndNode();
  Status Property(Text name, Span<const uint8_t> value);
  Status PropertyU64(Text name, uint64_t value);  ///< CPU-native, as the ABI wants
  /// A property whose value the caller makes in place, before the next call: `size` bytes, zero
  /// until then and aligned to 4.
  Result<Span<uint8_t>> PropertyInPlace(Text name, uint64_t size);
  Status PropertyString(Text name, Text value);

  /// A subnode that points to `size` bytes of preserved memory at `data`: another fragment (`size`
  /// is a page) or a plain blob.
  Status Link(Text name, PhysAddr data, uint64_t size);

  /// Finishes the tree, preserves the page and returns it; the page now belongs to the tracker's
  /// owner. Errors: the first error so far, `kFdtStructure` when a node is still open or the
  /// fragment was closed before, and what `Tracker::Preserve` says; the page is then given back.
  Result<PageFrame> Close();

 private:
  bool IsOpen();
  Status FailNoSpace();
  Status FailStructure();
  void Drop();

  /// Bytes between the structure block and the names.
  uint64_t Room() const { return kPageSize - structure_end_ - strings_size_; }
  uint32_t* WordAt(uint64_t offset);
  // Both write behind the structure block, where the caller has seen that there is room.
  void AppendTag(uint32_t value);
  void AppendBytes(const void* bytes, uint64_t size);
  /// Appends a property whose name begins `name` bytes in front of the end of the page, all but its
  /// value. Errors: `kNoSpace`, also when `name` is 0.
  Status BeginProperty(uint64_t name, uint64_t size);
  Status AppendU64(uint64_t name, uint64_t value);
  /// The part of both in front of the value, once there is room.
  void AppendPropertyHead(uint64_t name, uint64_t size);
  /// How far from the end of the page `name` begins, put there unless it is part of another name
  /// already. 0 when there is no room.
  uint64_t PlaceName(Text name);
  const char* NameAt(uint64_t distance) const {
    return reinterpret_cast<const char*>(bytes_ + kPageSize - distance);
  }
  /// The bytes of the name with this number, the oldest being 0, which begins at `distance`.
  uint64_t NameSize(uint32_t index, uint64_t distance) const;

  /// Moves the names behind the structure block and writes the header.
  void Finish();

  /// So many names have their sizes kept, which is all of them in nearly every fragment.
  static constexpr uint32_t kKnownNames = 12;

  PageSource& pages_;
  Tracker& tracker_;
  Status status_ = Ok{};
  PageFrame page_;
  uint8_t* bytes_ = nullptr;    ///< the page while the fragment is open
  uint32_t structure_end_;      ///< offset in the page
  uint32_t last_property_ = 0;  ///< offset in the page, 0 for none
  uint32_t strings_size_ = 0;   ///< bytes of names at the end of the page, the newest first
  uint32_t name_count_ = 0;
  uint16_t name_sizes_[kKnownNames];
  /// Where `Link` has found its names when there were `count`, so that it need not look again.
  struct {
    uint64_t data = 0;
    uint64_t size = 0;
    uint32_t count = 0;
  } link_names_;
  unsigned depth_ = 0;  ///< open nodes below the root
  bool after_subnode_ = false;
};

}  // namespace khocore
