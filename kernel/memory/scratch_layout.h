// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/node_map.h"
#include "kernel/base/region_set.h"
#include "kernel/rig/options.h"
#include "khocore/scratch.h"

namespace memory {

/// What the first kernel of a chain has to make scratch of.
struct ScratchRequest {
  const rig::Options& options;
  const base::NodeMap& nodes;
  const base::RegionSet& used;
  base::RegionSet* allowed;  ///< RAM; loses what becomes scratch
};

/// Lays out scratch as Linux does (kho_reserve_scratch): low memory, global, and one area for each
/// node that has memory. No area spans nodes. Too little RAM ends the machine with the `error`
/// event.
void ReserveScratch(const ScratchRequest& request, khocore::Scratch* scratch);

}  // namespace memory
