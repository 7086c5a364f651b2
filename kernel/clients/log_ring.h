// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/console/log.h"
#include "kernel/handover/client.h"
#include "khocore/abi/clients.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace clients {

/// The console log in preserved memory: the next generation can print what this one printed last.
class LogRing {
 public:
  /// Allocates a ring and directs the log to it. Errors: `kOutOfMemory`.
  khocore::Status Create(handover::Generation& generation);
  /// Takes the ring back and checks its header. Errors: those of the link and of restoring, and
  /// `kBlobSizeRange` when header and blob disagree.
  khocore::Status Restore(handover::Incoming& incoming);
  /// Prints the last lines of the previous generation and goes on writing in the same ring.
  void Adopt();
  khocore::Status Preserve(handover::Outgoing& outgoing) const;
  khocore::Status Serialize(handover::Outgoing& outgoing) const;

 private:
  khocore::abi::LogHeader* header() const;
  khocore::PhysRange range_;
};
inline LogRing log_ring;

inline constexpr handover::Client kLogRing = {
    .name = "log",
    .create = [](handover::Generation& generation) { return log_ring.Create(generation); },
    .restore = [](handover::Incoming& incoming) { return log_ring.Restore(incoming); },
    .adopt = [](handover::Generation&) -> khocore::Status {
      log_ring.Adopt();
      return khocore::Ok{};
    },
    .preserve = [](handover::Outgoing& outgoing) { return log_ring.Preserve(outgoing); },
    .freeze = [](handover::Outgoing&) -> khocore::Status {
      console::FreezeLog();
      return khocore::Ok{};
    },
    .serialize = [](handover::Outgoing& outgoing) { return log_ring.Serialize(outgoing); }};

/// As other kernels of a chain have it: a log of its own in each generation.
inline constexpr handover::Client kOwnLog = {
    .name = kLogRing.name, .create = kLogRing.create, .adopt = kLogRing.create};

}  // namespace clients
