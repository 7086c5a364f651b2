// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

#include "khocore/page_source.h"
#include "khocore/tracker.h"

namespace handover {

/// Pages set aside for the last step of serialization. They are taken, and the tracker has made
/// room for them, before the first block is preserved; so that step neither searches for memory nor
/// grows the tracker, and costs the same whatever was preserved.
class PageReserve final : public khocore::PageSource {
 public:
  static constexpr size_t kMaxPages = 16;

  explicit PageReserve(khocore::PageSource& source) : source_(source) {}

  /// Takes `pages` more pages. Errors: `kOutOfMemory`, `kOutsideRam`, `kNoSpace` for more than
  /// `kMaxPages` in all; what was taken stays in the reserve.
  khocore::Status Fill(khocore::Tracker& tracker, size_t pages);
  /// Gives back what is left.
  void Empty();

  /// From the reserve, and never from the source: whoever takes more than was set aside has not
  /// named it. Errors: `kOutOfMemory`.
  khocore::Result<khocore::PageFrame> AllocatePage() override;
  void FreePage(khocore::PageFrame page) override { source_.FreePage(page); }

 private:
  khocore::PageSource& source_;
  khocore::PageFrame pages_[kMaxPages];
  size_t count_ = 0;
};

}  // namespace handover
