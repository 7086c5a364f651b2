// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/generation.h"

namespace core {

/// What a run does in each of its generations. Registered with `KHORIG_SCENARIO`; the host lists
/// scenarios from the linker section without booting, reading the two strings.
///
/// A generation calls either `create` (a cold boot) or `restore` (a handover), then `verify`; and
/// `preserve` unless it is the last one. What goes wrong is said with `KHORIG_FAIL` or ended by
/// `Require`.
struct Scenario {
  // The host reads these three out of the image (qemu/khorig/scenarios.py), so they come first.
  const char* name;
  const char* summary;
  bool expects_refusal;  ///< a generation after the first is expected to refuse its handover

  /// Whether the next kernel may be a foreign one, and the previous one too: what was handed over
  /// and not restored goes on as it came, and nothing of khorig's own but the generation record
  /// and reserved memory is added.
  bool relays = false;
  /// Makes the state of the first generation.
  void (*create)(Generation& generation);
  /// Takes back what `preserve` of the previous generation handed over, without writing to it.
  void (*restore)(Generation& generation);
  /// Checks the content of what `restore` took back. Apart from it, because looking at every page
  /// is the rig's work and no part of what a handover costs.
  void (*verify)(Generation& generation);
  /// Preserves the state; may write fragments and add links to them.
  void (*preserve)(Generation& generation);
};
static_assert(offsetof(Scenario, expects_refusal) == 16);

// AddressSanitizer would put red zones between the records of the section.
#define KHORIG_SCENARIO(identifier)                                           \
  __attribute__((section(".khorig.scenarios"), used, no_sanitize("address"))) \
  const ::core::Scenario identifier

/// The scenario of that name, or null.
const Scenario* FindScenario(const char* name);

/// Prints the names and summaries of all scenarios.
void ListScenarios();

}  // namespace core
