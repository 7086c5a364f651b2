// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/result.h"
#include "khocore/types.h"

namespace khocore {

/// RAM as the caller can reach it: a few windows of physical addresses, each with the place where
/// its bytes are visible. In a kernel that is its direct map, in a test a buffer, in a fuzzer the
/// input. khocore reaches physical memory through this class only, so an address that another
/// kernel wrote can at worst be answered with `kOutsideRam`.
///
/// Windows do not overlap, are added once at start-up, and their bytes belong to the caller.
class PhysicalMemory {
 public:
  /// Firmware may cut RAM into many pieces.
  static constexpr size_t kMaxWindows = 256;

  /// Adds a window; touching windows that are contiguous in both spaces are merged.
  /// Errors: `kNoSpace` when there are `kMaxWindows` windows, `kOverlap` with an earlier window,
  /// `kOutsideRam` when the range is empty or wraps.
  Status AddWindow(PhysRange range, void* bytes);

  /// Removes all windows.
  void Clear() {
    count_ = 0;
    largest_ = {};
  }

  /// The bytes of `range`, or null when it does not lie inside one window.
  void* Find(PhysRange range) const {
    if (largest_.range.Contains(range)) return largest_.At(range.begin);
    for (size_t i = 0; i < count_; ++i) {
      if (windows_[i].range.Contains(range)) return windows_[i].At(range.begin);
    }
    return nullptr;
  }

  /// As `Find`, with `kOutsideRam` in place of null.
  Result<void*> Map(PhysRange range) const {
    void* bytes = Find(range);
    if (bytes == nullptr) return Error{ErrorCode::kOutsideRam, range.begin, range.size};
    return bytes;
  }

  /// The window that `address` lies in, or an empty range.
  PhysRange WindowOf(PhysAddr address) const;

  /// The windows in the order of their addresses, `index < window_count()`.
  PhysRange window(size_t index) const { return windows_[index].range; }
  size_t window_count() const { return count_; }

 private:
  struct Window {
    PhysRange range;
    uint8_t* bytes = nullptr;
    void* At(PhysAddr address) const { return bytes + (address - range.begin); }
  };
  /// To be called for each window that is new or has grown.
  void NoteSize(const Window& window) {
    if (window.range.size > largest_.range.size) largest_ = window;
  }

  Window windows_[kMaxWindows];
  size_t count_ = 0;
  /// A copy of the largest window, which is looked at first: it has nearly all of RAM, and on a PC
  /// there are others in front of it.
  Window largest_;
};

}  // namespace khocore
