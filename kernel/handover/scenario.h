// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

#include "khocore/types.h"

namespace handover {

struct Generation;
class Incoming;
class Outgoing;
struct Client;

/// What a run does in each of its generations. Registered with `KHORIG_SCENARIO`; the host lists
/// scenarios from the linker section without booting, reading what comes first.
///
/// The functions are the scenario's part in the steps of `Client`, after those of the
/// clients, but `preserve` before theirs; null where there is nothing to do. What goes wrong is
/// reported with `KHORIG_FAIL` or ended by `Require`.
struct Scenario {
  // The host reads these four out of the image (qemu/khorig/run/scenarios.py), so they come first.
  const char* name;
  const char* summary;
  bool expects_refusal;  ///< a generation after the first is expected to refuse its handover
  /// What it needs of the machine, words separated by spaces: "smp=2", "device=edu" (docs/abi.md).
  /// The host adds the devices. Null when it runs on any.
  const char* needs = nullptr;

  /// Who hands over besides the scenario itself (kernel/clients/list.h).
  khocore::Span<const Client* const> clients;
  /// Makes the state of the first generation.
  void (*create)(Generation& generation) = nullptr;
  /// Takes back what `preserve` of the previous generation handed over, without writing to it.
  void (*restore)(Incoming& incoming) = nullptr;
  /// Checks the content of what `restore` took back.
  void (*verify)(Incoming& incoming) = nullptr;
  /// What each generation adds to its state before it hands that over: the rig's work and no part
  /// of what a handover costs.
  void (*work)(Generation& generation) = nullptr;
  /// Preserves the state; may write fragments and add links to them.
  void (*preserve)(Outgoing& outgoing) = nullptr;
};
static_assert(offsetof(Scenario, expects_refusal) == 16 && offsetof(Scenario, needs) == 24);

// AddressSanitizer would put red zones between the records of the section.
#define KHORIG_SCENARIO(identifier)                                           \
  __attribute__((section(".khorig.scenarios"), used, no_sanitize("address"))) \
  const ::handover::Scenario identifier

/// The scenario of that name, or null.
const Scenario* FindScenario(const char* name);

/// Prints the names and summaries of all scenarios.
void ListScenarios();

}  // namespace handover
