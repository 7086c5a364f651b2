// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/check.h"
#include "khocore/fragment_reader.h"
#include "khocore/frame_table.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/scratch.h"
#include "khocore/types.h"

namespace khocore {

/// What the previous kernel handed over, after every rule of the ABI has been checked on it.
class Incoming {
 public:
  Incoming() = default;

  /// Checks the whole handover (see `CheckHandover`) and claims every preserved block in `frames`.
  /// Errors: the first finding of the check. `frames` then holds a partial claim and must be made
  /// anew by the caller.
  static Result<Incoming> Open(const PhysicalMemory& memory, PhysAddr root, const Scratch& scratch,
                               FrameTable& frames);

  /// The blob of a client of the root. Errors: `kNotFound`.
  Result<PhysRange> Find(const char* client) const;

  const FragmentReader& root() const { return root_; }
  const HandoverSummary& summary() const { return summary_; }

 private:
  FragmentReader root_;
  HandoverSummary summary_;
};

}  // namespace khocore
