// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/client.h"
#include "kernel/rig/options.h"
#include "khocore/abi/clients.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace clients {

/// Named, contiguous memory that stays at its address (Linux's `reserve_mem=`), handed over in the
/// `memblock` subtree.
class ReservedMemory {
 public:
  struct Area {
    char name[32];
    khocore::PhysRange range;
  };

  /// Allocates what the command line asks for and fills it with content from the seed. Ends the
  /// machine when there is no memory.
  khocore::Status Create(handover::Generation& generation);
  /// Takes back what the previous kernel listed. Errors: those of fragments and of restoring,
  /// `kPropertySize` for an area that is no whole number of pages, or none; `kNoSpace` for more
  /// areas than there is room for, or a longer name.
  khocore::Status Restore(handover::Incoming& incoming);
  /// Checks the content against the seed; a difference is a `fail` event.
  void Verify(const handover::Incoming& incoming) const;
  khocore::Status Preserve(handover::Outgoing& outgoing) const;
  /// Writes the subtree and adds it to the root.
  khocore::Status Serialize(handover::Outgoing& outgoing) const;

 private:
  Area areas_[rig::Options::kMaxReserved] = {};
  size_t count_ = 0;
};
inline ReservedMemory reserved_memory;

inline constexpr handover::Client kReservedMemory = {
    .name = khocore::abi::kMemblockClient,
    .final_pages = 1,
    .create = [](handover::Generation& generation) { return reserved_memory.Create(generation); },
    .restore = [](handover::Incoming& incoming) { return reserved_memory.Restore(incoming); },
    .verify = [](handover::Incoming& incoming) { reserved_memory.Verify(incoming); },
    .preserve = [](handover::Outgoing& outgoing) { return reserved_memory.Preserve(outgoing); },
    .serialize = [](handover::Outgoing& outgoing) { return reserved_memory.Serialize(outgoing); }};

/// As Linux has it: taken back when the command line asks for it, else passed through.
inline constexpr handover::Client kRequestedMemory = {
    .name = kReservedMemory.name,
    .final_pages = kReservedMemory.final_pages,
    .create = kReservedMemory.create,
    .restore = [](handover::Incoming& incoming) -> khocore::Status {
      if (incoming.generation().options.reserved_count == 0) return khocore::Ok{};
      return reserved_memory.Restore(incoming);
    },
    .verify = kReservedMemory.verify,
    .preserve = kReservedMemory.preserve,
    .serialize = kReservedMemory.serialize};

}  // namespace clients
