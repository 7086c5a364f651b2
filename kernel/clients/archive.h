// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/fragment.h"
#include "khocore/types.h"

namespace core {
struct Generation;
}

namespace clients {

/// The cpio archive with the next kernel. It goes along the chain as preserved memory: never
/// copied, except out of scratch when another kernel's loader put it there.
class Archive {
 public:
  /// Takes over what the boot protocol loaded. Nothing to do when there was no initrd.
  void Take(core::Generation& generation);
  /// Takes it back from the previous generation. Errors: those of the link and of restoring.
  khocore::Status Restore(core::Generation& generation);
  /// Errors: `Tracker::PreserveRange`'s.
  khocore::Status Preserve(core::Generation& generation);
  khocore::Status Serialize(khocore::FragmentWriter& top) const;

  /// The archive's bytes, empty when there is none.
  khocore::Span<const uint8_t> bytes() const;

 private:
  khocore::PhysRange range_;
};

}  // namespace clients
