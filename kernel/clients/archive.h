// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/client.h"
#include "khocore/types.h"

namespace clients {

/// The cpio archive with the next kernel. It goes along the chain as preserved memory: never
/// copied, except out of scratch when another kernel's loader put it there.
class Archive {
 public:
  /// Takes over what the boot protocol loaded. Nothing to do when there was no initrd. Errors:
  /// `kOutsideRam`, and those of `AllocateRange`.
  khocore::Status Take(handover::Generation& generation);
  /// Takes it back from the previous generation. Errors: those of the link and of restoring.
  khocore::Status Restore(handover::Incoming& incoming);
  /// Errors: `Tracker::PreserveRange`'s.
  khocore::Status Preserve(handover::Outgoing& outgoing) const;
  khocore::Status Serialize(handover::Outgoing& outgoing) const;

 private:
  void Offer(handover::Generation& generation, khocore::PhysRange range);

  khocore::PhysRange range_;
};
inline Archive archive;

inline constexpr handover::Client kArchive = {
    .name = "archive",
    .create = [](handover::Generation& generation) { return archive.Take(generation); },
    .restore = [](handover::Incoming& incoming) { return archive.Restore(incoming); },
    .preserve = [](handover::Outgoing& outgoing) { return archive.Preserve(outgoing); },
    .serialize = [](handover::Outgoing& outgoing) { return archive.Serialize(outgoing); }};

/// As other kernels of a chain have it: each generation gets the archive from its loader.
inline constexpr handover::Client kLoadedArchive = {
    .name = "archive", .create = kArchive.create, .restore = [](handover::Incoming& incoming) {
      return archive.Take(incoming.generation());
    }};

}  // namespace clients
