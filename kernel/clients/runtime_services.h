// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

#include "khocore/abi/clients.h"
#include "khocore/fragment.h"
#include "khocore/result.h"

namespace core {
struct Generation;
}

namespace clients {

/// The memory of UEFI's runtime services. No kernel of the chain calls them, but their memory stays
/// theirs: the first kernel notes what is in it, and every later one finds the same there. Empty on
/// a machine that was not started by UEFI.
class RuntimeServices {
 public:
  /// More than any firmware has; what goes beyond is a `fail`.
  static constexpr size_t kMaxRegions = 128;

  /// Notes and reports what there is. The first kernel does this, and one that cannot know what
  /// that noted.
  void Record(core::Generation& generation);
  /// Reads what the first kernel noted, if it did. Errors: `kPropertySize`, and those of the link.
  khocore::Status Restore(core::Generation& generation);
  /// Compares with what there is, and reports it: a region that moved in the memory map and one
  /// whose content changed are each a `fail`.
  void Verify(core::Generation& generation) const;
  /// Errors: those of the writer.
  khocore::Status Serialize(core::Generation& generation, khocore::FragmentWriter& top) const;

 private:
  void Report() const;

  khocore::abi::RuntimeRegion regions_[kMaxRegions] = {};
  size_t count_ = 0;
};

}  // namespace clients
