// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/handover/client.h"
#include "khocore/abi/kho_test.h"
#include "khocore/abi/vmalloc.h"
#include "khocore/result.h"

namespace clients {

/// Folios in the format of Linux's test module (khocore/abi/kho_test.h), so that Linux itself can
/// tell whether they arrived.
class KhoTest {
 public:
  /// Allocates `megabytes=` MiB, 8 as Linux's module without that option, in folios of all orders
  /// with content from the seed. Errors: `kOutOfMemory`, `kNoSpace` for more than the list can
  /// name.
  khocore::Status Create(handover::Generation& generation);
  /// Checks the folios that were handed over, whoever made them, where they lie, and prints a
  /// `kho_test` event; a wrong sum or order is a `fail` event. Nothing to do when there is no such
  /// subtree. Errors: those of fragments and lists, `kNotPreserved` for a folio that is no block of
  /// its order.
  static khocore::Status Check(handover::Incoming& incoming);
  khocore::Status Preserve(handover::Outgoing& outgoing) const;
  /// Writes the subtree and adds it to the root. Nothing to do when none was created.
  khocore::Status Serialize(handover::Outgoing& outgoing) const;

 private:
  khocore::Status Fill(handover::Generation& generation, uint64_t bytes);

  khocore::abi::Vmalloc list_ = {};  ///< the pages with one u64 for each folio
  uint32_t folio_count_ = 0;
  uint32_t checksum_ = 0;
};
inline KhoTest kho_test;

inline constexpr handover::Client kKhoTest = {
    .name = khocore::abi::kKhoTestClient,
    .final_pages = 1,
    .create = [](handover::Generation& generation) { return kho_test.Create(generation); },
    .restore = KhoTest::Check,
    .preserve = [](handover::Outgoing& outgoing) { return kho_test.Preserve(outgoing); },
    .serialize = [](handover::Outgoing& outgoing) { return kho_test.Serialize(outgoing); }};

}  // namespace clients
