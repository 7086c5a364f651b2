// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/boot_info.h"
#include "kernel/base/random.h"
#include "kernel/clients/archive.h"
#include "kernel/clients/kho_test.h"
#include "kernel/clients/log_ring.h"
#include "kernel/clients/reserved_memory.h"
#include "kernel/clients/runtime_services.h"
#include "kernel/clients/stores.h"
#include "kernel/handover/page_reserve.h"
#include "kernel/memory/memory.h"
#include "kernel/rig/options.h"
#include "khocore/fragment.h"
#include "khocore/outgoing.h"
#include "khocore/tracker.h"

namespace core {

/// What was taken back from the previous generation so far.
struct RestoreCount {
  uint64_t blocks = 0;
  uint64_t pages = 0;
};

/// One life of this kernel, from entry to jump: what its clients and its scenario work with.
struct Generation {
  /// A subtree that a scenario hangs below the `khorig` fragment.
  struct Link {
    const char* name;
    khocore::PhysRange data;
  };
  static constexpr size_t kMaxLinks = 4;
  static constexpr size_t kMaxObsolete = 32;

  Generation(const boot::BootInfo& boot_info, const Options& boot_options, Memory& all_memory)
      : info(boot_info),
        options(boot_options),
        memory(all_memory),
        reserve(memory.allocator),
        random(Random::ForPurpose(options.seed + options.generation, "placement")) {}

  const boot::BootInfo& info;
  const Options& options;
  Memory& memory;
  PageReserve reserve;  ///< filled from when `tracker` is valid until `outgoing` is complete
  Random random;        ///< decides where things lie

  khocore::Tracker tracker;              ///< valid from `BeginSerialize` on
  khocore::Outgoing outgoing;            ///< as `tracker`
  khocore::FragmentReader incoming_top;  ///< the `khorig` fragment handed over, if any

  clients::Archive archive;
  clients::KhoTest kho_test;
  clients::LogRing log_ring;
  clients::ReservedMemory reserved_memory;
  clients::RuntimeServices runtime_services;
  clients::Stores stores;
  Link links[kMaxLinks] = {};
  size_t link_count = 0;

  RestoreCount restored;
  khocore::PageFrame obsolete[kMaxObsolete] = {};  ///< fragments read, freed by `ReleaseObsolete`
  size_t obsolete_count = 0;
  uint64_t ledger_entries = 0;

  bool is_last() const { return options.generation >= options.generations; }

  /// Takes one preserved block back into use and counts it. Errors: `FrameTable::Restore`'s.
  khocore::Result<khocore::Order> RestoreBlock(khocore::PageFrame head);
  /// Takes back blocks that cover `range` exactly, whole pages. Errors: as above, and `kOverlap`
  /// when the last block reaches beyond the range.
  khocore::Status RestoreRange(khocore::PhysRange range);
  /// Takes back the page at `address`, which `ReleaseObsolete` frees: its content was read or is
  /// written anew for the next generation. Errors: as `RestoreBlock`, and `kNoSpace`.
  khocore::Status RestoreObsolete(khocore::PhysAddr address);
  /// Opens the fragment at `address` and takes its page back, to be freed as above.
  khocore::Result<khocore::FragmentReader> RestoreFragment(khocore::PhysAddr address);
  void ReleaseObsolete();

  /// Adds a link below the `khorig` fragment. Errors: `kNoSpace`.
  khocore::Status AddLink(const char* name, khocore::PhysRange data);
  /// The data of a link that the previous generation added. Errors: `kNotFound` and those of
  /// `FragmentReader::Link`.
  khocore::Result<khocore::PhysRange> FindLink(const char* name) const;
};

/// The largest block that is preserved so far, the first of its size: what a fault damages. Empty
/// when nothing is preserved.
khocore::PhysRange LargestPreservedBlock(const Generation& generation);

/// Ends the run with a `fail` event and status 35 when `status` is an error: what a generation
/// needs to go on did not work.
void Require(const khocore::Status& status, const char* what);

/// As `Require` for something that is not there.
[[noreturn]] void RequireMissing(const char* what);

/// As `Require`, returning the value.
template <typename T>
T Require(const khocore::Result<T>& result, const char* what) {
  if (!result.ok()) Require(khocore::Status(result.error()), what);
  return result.value();
}

}  // namespace core
