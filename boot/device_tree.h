// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "boot/boot_info.h"
#include "khocore/function_ref.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace boot {

/// Gets a line of text about something in the device tree that was not used, and why.
using Note = khocore::FunctionRef<void(const char* text)>;

/// How many 32-bit cells an address and a size take in a `reg` property.
struct CellCounts {
  unsigned address = 0;
  unsigned size = 0;
};

/// A device tree that firmware or another kernel wrote: untrusted, checked as a whole when opened
/// and afterwards only read. The bytes belong to the caller and outlive the object.
class DeviceTree {
 public:
  /// The boot protocol's own bound.
  static constexpr uint64_t kMaxSize = uint64_t{2} << 20;

  DeviceTree() = default;

  /// Checks the tree at `blob`, of which `limit` bytes may be read. Errors: `kUnaligned` (8 bytes),
  /// `kFdtMagic`, `kFdtTotalSize` (beyond `limit` or `kMaxSize`), `kFdtStructure`.
  static khocore::Result<DeviceTree> Open(const void* blob, uint64_t limit);

  const void* blob() const { return blob_; }
  uint64_t size() const { return size_; }  ///< totalsize, free room included

  /// The node at `path`, absolute or an alias, or -1.
  int Find(const char* path) const;
  /// The same with the path in the first `length` bytes of `path`.
  int Find(const char* path, size_t length) const;
  /// The first node after `after` (-1 for the start) that is compatible with `name`, or -1.
  int FindCompatible(int after, const char* name) const;
  /// Direct subnodes: the first one of `parent`, and the one after `node`, or -1.
  int FirstChild(int parent) const;
  int NextChild(int node) const;

  /// False when `status` is there and is neither "okay" nor "ok".
  bool IsEnabled(int node) const;
  bool IsCompatible(int node, const char* name) const;
  /// An empty span when there is no such property, or nothing in it.
  khocore::Span<const uint8_t> Property(int node, const char* name) const;
  /// The first string of a property, or null when it is absent or not terminated.
  const char* String(int node, const char* name) const;
  /// A property of one or two cells. False when it is absent or has another length.
  bool Number(int node, const char* name, uint64_t* value) const;

  /// The cell counts of the children of `node`. False when they are not 1 or 2 each.
  bool ChildCells(int node, CellCounts* cells) const;
  /// Entry `index` of a property that is a list of ranges. False behind the end of the list, and
  /// for a list that is no multiple of an entry.
  bool RangeAt(int node, const char* name, CellCounts cells, size_t index,
               khocore::PhysRange* range) const;
  /// Entry `index` of `reg` of a device, as the CPU sees it. False when there is none or when a bus
  /// above the device translates addresses.
  bool DeviceRange(int node, size_t index, khocore::PhysRange* range) const;

 private:
  const void* blob_ = nullptr;
  uint64_t size_ = 0;
};

/// Fills `info` with what the tree says about memory, reservations, command line, initrd and
/// handover, and with the tree itself at physical address `address`, which must also be kept. What
/// cannot be used is left out and told to `note`. Leaves `protocol` and `image` alone.
void ReadBootInfo(const DeviceTree& tree, khocore::PhysAddr address, BootInfo* info, Note note);

}  // namespace boot
