// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/page_source.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/tracker.h"
#include "khocore/types.h"

namespace khocore {

/// What this kernel hands over: the root page and the tracker. The root only aggregates: a client
/// adds the address of what it has serialized by itself, at any time. There is no finalize step;
/// the state is complete as soon as the last client was added.
class Outgoing {
 public:
  Outgoing() = default;

  /// Writes an empty root with the tracker's map pointer and preserves its page. The arguments
  /// outlive the object. Errors: `kOutOfMemory`, and what `Tracker::Preserve` says.
  static Result<Outgoing> Create(const PhysicalMemory& memory, PageSource& pages, Tracker& tracker);

  /// Adds the subnode `name` with `preserved-data` and `blob-size`. The caller preserves the blob.
  /// The root is complete before and after. Errors, which leave it as it was: `kNoSpace`,
  /// `kBlobSizeRange` (zero), `kAlreadyPreserved` when there is a client of exactly that name,
  /// `kFdtStructure` when the root was overwritten.
  Status AddClient(const char* name, PhysRange blob);

  /// The anchor: the one address the next kernel gets.
  PageFrame root() const { return root_; }

 private:
  uint8_t* bytes_ = nullptr;
  PageFrame root_;
};

}  // namespace khocore
