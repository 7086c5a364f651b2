// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/generation.h"
#include "khocore/physical_memory.h"
#include "khocore/types.h"

/// What faults act on.

namespace defects {

/// The first of the largest blocks in the tracker at `tracker_root`; empty when nothing is
/// preserved.
khocore::PhysRange LargestPreserved(const khocore::PhysicalMemory& physical,
                                    khocore::PageFrame tracker_root);
/// The tracker below the root at `kho_root`. Ends the run when there is none.
khocore::PageFrame TrackerOf(const khocore::PhysicalMemory& physical, khocore::PhysAddr kho_root);

/// Finds the first block of the store `blocks`, which has what the scenario itself preserves, whose
/// order is at least `least`. False when there is none.
bool FindListedBlock(const handover::Generation& generation, khocore::Order least,
                     khocore::Block* found);

}  // namespace defects
