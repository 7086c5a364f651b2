// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/incoming.h"
#include "kernel/handover/outgoing.h"
#include "kernel/handover/scenario.h"
#include "kernel/kexec/kexec.h"

namespace handover {

// The course of a generation, in this order. What makes a step impossible ends the run.

/// Makes the state of the first generation; without a handover a later one fails here, unless it
/// has refused one and the scenario expects that.
void StartCold(Generation& generation, const Scenario& scenario, bool has_refused);

/// Has each client say which CPU runs on for it, before this kernel starts its own.
void KeepCpus(Incoming& incoming, const Scenario& scenario);

/// Takes the state of the previous generation back, verifies it, and waits at the stop `restored`.
void TakeOver(Incoming& incoming, const Scenario& scenario);

/// Preserves what clients and scenario have, has them account for it, then writes the fragments and
/// the root.
void Seal(Outgoing& outgoing, const Scenario& scenario);

/// Loads the next kernel, reports the sealed state, waits at the stop `sealed`, and jumps.
[[noreturn]] void LoadAndJump(Outgoing& outgoing, const Scenario& scenario);

}  // namespace handover
