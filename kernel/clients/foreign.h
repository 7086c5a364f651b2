// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/client.h"
#include "khocore/fragment_reader.h"
#include "khocore/result.h"

namespace clients {

/// Pass-through: every block and subtree that is not restored here is preserved again unchanged,
/// for the next kernel. The one client that knows both halves, because what it hands on is what
/// came.
class Foreign {
 public:
  /// Prints a `client` event for each subtree of the root, and keeps a copy of the root. Errors:
  /// those of links, `kOutOfMemory`.
  khocore::Status Restore(handover::Incoming& incoming);
  /// Counts the blocks that were not restored.
  void Verify(handover::Incoming& incoming);
  /// Preserves every block that was handed over and not restored, with the order it came with.
  /// Nothing to do on a cold boot. Errors: `Tracker::Preserve`'s.
  khocore::Status Preserve(handover::Outgoing& outgoing);
  /// Adds every subtree whose blob was not restored to the new root. Errors: those of links, and
  /// `Outgoing::AddClient`'s.
  khocore::Status Serialize(handover::Outgoing& outgoing);

 private:
  const handover::Incoming* incoming_ = nullptr;  ///< null on a cold boot
  khocore::FragmentReader root_;
};
inline Foreign foreign;

inline constexpr handover::Client kForeign = {
    .name = "foreign",
    .restore = [](handover::Incoming& incoming) { return foreign.Restore(incoming); },
    .verify = [](handover::Incoming& incoming) { foreign.Verify(incoming); },
    .preserve = [](handover::Outgoing& outgoing) { return foreign.Preserve(outgoing); },
    .serialize = [](handover::Outgoing& outgoing) { return foreign.Serialize(outgoing); }};

}  // namespace clients
