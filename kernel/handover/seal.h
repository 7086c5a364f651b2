// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/generation.h"
#include "kernel/kexec/kexec.h"
#include "kernel/rig/scenario.h"

namespace core {

/// Hands the state of this generation over: preserves what clients and scenario have, writes the
/// ledger, then the fragments and the root. Failure ends the run.
void Seal(Generation& generation, const Scenario& scenario);

/// Loads the next kernel, reports the sealed state and waits for the host, if that is asked for.
NextKernel LoadAndStop(Generation& generation);

}  // namespace core
