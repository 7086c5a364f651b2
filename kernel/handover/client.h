// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

#include "kernel/handover/incoming.h"
#include "kernel/handover/outgoing.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace handover {

/// Who has state to hand over: one row of the list that a scenario names (kernel/clients/list.h).
/// A step may be null. Each step is done for all clients of the list, in
/// its order, before the next one begins; an error of a step ends the run in the client's name. The
/// steps are in the order of a generation's course (kernel/handover/course.cc); the signature says
/// which half of a handover a step can reach.
struct Client {
  const char* name;
  /// Pages that `serialize` takes from `Outgoing::final_pages`.
  size_t final_pages = 0;

  /// Makes the state of a first generation. Only on a cold boot.
  khocore::Status (*create)(Generation& generation) = nullptr;
  /// Names the CPU that runs on for the client (`cpus::KeepAway`), before this kernel starts its
  /// own. Only reads what was handed over.
  khocore::Status (*keep_cpus)(Incoming& incoming) = nullptr;
  /// Takes back what the previous kernel handed over, without writing to it.
  khocore::Status (*restore)(Incoming& incoming) = nullptr;
  /// Compares it with what it must be; a difference is a `fail` event. Apart from `restore`,
  /// because it is the rig's work and no part of what a handover costs.
  void (*verify)(Incoming& incoming) = nullptr;
  /// What was handed over is not read any more: it may be written to and freed.
  khocore::Status (*adopt)(Generation& generation) = nullptr;
  /// Preserves memory where it lies, after the scenario has done so.
  khocore::Status (*preserve)(Outgoing& outgoing) = nullptr;
  /// Everything is preserved and does not change any more.
  khocore::Status (*freeze)(Outgoing& outgoing) = nullptr;
  /// The last step: writes and links what leads to the preserved memory.
  khocore::Status (*serialize)(Outgoing& outgoing) = nullptr;
  /// The last thing before the jump, when this CPU is the only one and all is off that has to be.
  /// Prints `quiesce` events at most.
  void (*depart)() = nullptr;
};

using Clients = khocore::Span<const Client* const>;

/// The pages that the last step takes with these clients.
constexpr size_t FinalPages(Clients clients) {
  size_t pages = Outgoing::kFinalPages;
  for (const Client* client : clients) pages += client->final_pages;
  return pages;
}

}  // namespace handover
