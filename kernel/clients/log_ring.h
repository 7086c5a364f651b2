// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/abi/clients.h"
#include "khocore/fragment.h"
#include "khocore/types.h"

namespace core {
struct Generation;
}

namespace clients {

/// The console log in preserved memory: the next generation can print what this one said.
class LogRing {
 public:
  /// Allocates a ring and directs the log to it.
  void Create(core::Generation& generation);
  /// Takes the ring back and checks its header. Errors: those of the link and of restoring, and
  /// `kBlobSizeRange` when header and blob disagree.
  khocore::Status Restore(core::Generation& generation);
  /// Prints the last lines of the previous generation and goes on writing in the same ring.
  void Adopt();
  khocore::Status Preserve(core::Generation& generation);
  khocore::Status Serialize(khocore::FragmentWriter& top) const;

 private:
  khocore::abi::LogHeader* header() const;
  khocore::PhysRange range_;
};

}  // namespace clients
