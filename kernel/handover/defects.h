// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/outgoing.h"
#include "khocore/page_source.h"
#include "khocore/types.h"

namespace handover {

/// The named points of the course at which a deliberate defect (kernel/rig/fault.h) acts. Without
/// an armed fault each does nothing and returns what the course has without it.

/// Where the tracker's nodes come from: the allocator. `node-in-scratch`.
khocore::PageSource& TrackerNodes(Generation& generation);
/// After the root was closed. `root-not-preserved`.
void AfterClose(Outgoing& outgoing);
/// Where the parameters of the next kernel go, empty for a place in scratch.
/// `segment-outside-scratch`.
khocore::PhysRange ParametersPlace(const Outgoing& outgoing);
/// After the stop `restored`. `panic-after-restore`, `undefined-behavior`, and those of
/// kernel/handover/forbidden.h.
void AfterRestored(Generation& generation);
/// After the stop `sealed`. `write-after-seal`, `hang-before-jump`.
void AfterSealed(const Outgoing& outgoing);
/// Where CPU 1 is left behind, null for nowhere. `ap-spins-in-old-text`, `park-page-unowned`.
void (*LoopOfLeftCpu(Generation& generation))();

}  // namespace handover
