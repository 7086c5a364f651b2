// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/result.h"
#include "khocore/types.h"

namespace khocore {

/// Where khocore gets the single pages it writes its own structures in: tracker nodes, fragments,
/// vmalloc chunks, the root.
class PageSource {
 public:
  /// A zeroed page outside scratch, owned by the caller until `FreePage`. Errors: `kOutOfMemory`.
  virtual Result<PageFrame> AllocatePage() = 0;
  /// Gives back a page that `AllocatePage` returned.
  virtual void FreePage(PageFrame page) = 0;

 protected:
  ~PageSource() = default;
};

}  // namespace khocore
