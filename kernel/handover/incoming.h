// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/generation.h"
#include "kernel/memory/memory.h"
#include "khocore/fragment_reader.h"
#include "khocore/function_ref.h"
#include "khocore/result.h"

namespace handover {

/// The incoming half of a generation: what the previous kernel handed over, taken back into use
/// block by block. It passed the gate (`khocore::Incoming`) when memory was set up; every preserved
/// block is claimed until somebody restores it. Nothing here can preserve or serialize.
class Incoming {
 public:
  static constexpr size_t kMaxReleased = 32;

  /// What was restored: taken back into use or, in a pass-through, checked.
  struct Count {
    uint64_t blocks = 0;
    uint64_t pages = 0;
  };

  /// Used if `memory` has a handover; both arguments outlive the object.
  Incoming(Generation& generation, memory::Memory& memory)
      : generation_(generation), memory_(memory) {}
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

  Generation& generation() const { return generation_; }
  const khocore::PhysicalMemory& physical() const { return generation_.physical; }
  const khocore::HandoverSummary& summary() const { return memory_.incoming.summary(); }
  /// The root page, good until `Release`.
  const khocore::FragmentReader& root() const { return memory_.incoming.root(); }
  /// The blob of a subtree of the root. Errors: `kNotFound`, and those of `FragmentReader::Link`.
  khocore::Result<khocore::PhysRange> Find(const char* client) const {
    return memory_.incoming.Find(client);
  }
  /// The data of a link below the `khorig` fragment, whose page is taken back with the first call.
  /// Errors: as `Find`, and those of `RestoreFragment`.
  khocore::Result<khocore::PhysRange> FindLink(const char* name);

  /// The order of a preserved block that nobody has restored yet. Errors: `kNotPreserved` when
  /// `head` is not the first page of one.
  khocore::Result<khocore::Order> OrderOf(khocore::PageFrame head) const;
  /// Whether `page` was handed over and nobody has restored it.
  bool IsUnrestored(khocore::PageFrame page) const {
    return memory_.frames.state(page) == khocore::FrameState::kPreserved;
  }
  /// Takes one preserved block back into use and counts it. Errors: `FrameTable::Restore`'s, and
  /// `kNotPreserved` when it was preserved with another order, which is `found`: the block that is
  /// there is in use then.
  khocore::Status RestoreBlock(khocore::Block block);
  /// As `RestoreBlock`, with whatever order the block was preserved with, which is returned.
  khocore::Result<khocore::Order> RestoreHead(khocore::PageFrame head);
  /// Takes back blocks that cover `range` exactly, whole pages. Errors: as above, `kOverlap` when
  /// the last block reaches beyond the range, and `kOutsideRam` for a range that wraps.
  khocore::Status RestoreRange(khocore::PhysRange range);
  /// Takes back the page at `address`, which `Release` frees: its content was read or is written
  /// anew for the next generation. Errors: as `RestoreBlock`, and `kNoSpace`.
  khocore::Status RestoreForRelease(khocore::PhysAddr address);
  /// Opens the fragment that is `blob`, if it has this `compatible`. Errors: those of
  /// `FragmentReader::Open`, `kCompatibleMissing`, `kCompatibleMismatch`.
  khocore::Result<khocore::FragmentReader> OpenFragment(khocore::PhysRange blob,
                                                        const char* compatible) const;
  /// As `OpenFragment`, and takes its page back, to be freed as above. Errors: those of both.
  khocore::Result<khocore::FragmentReader> RestoreFragment(khocore::PhysRange blob,
                                                           const char* compatible);
  /// Frees what was restored for release. The readers of those pages are invalid afterwards.
  void Release();

  /// Calls `visit` with every block that nobody has restored, in ascending order. An error ends the
  /// walk and becomes its result.
  khocore::Status ForEachUnrestored(
      khocore::FunctionRef<khocore::Status(khocore::Block)> visit) const;

  const Count& restored() const { return restored_; }
  /// The stores among it, for the event `restored`.
  size_t stores = 0;
  /// What is passed through unchanged; with `restored` it is all that was handed over.
  Count passed_on;

  /// For a defect: the page stays behind, as if its block had been restored without it. Errors:
  /// `kOutOfMemory`.
  khocore::Status LeaveBehind(khocore::PageFrame page);

 private:
  Generation& generation_;
  memory::Memory& memory_;
  khocore::FragmentReader top_;  ///< the `khorig` fragment
  bool has_top_ = false;
  Count restored_;
  khocore::PageFrame released_[kMaxReleased] = {};
  size_t released_count_ = 0;
};

}  // namespace handover
