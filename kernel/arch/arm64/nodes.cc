// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/nodes.h"

#include "kernel/arch/arm64/machine.h"

namespace arch {

/// Boot code has read them with the machine's devices.
const base::NodeMap& FindNodes(const base::BootInfo&, Note) { return this_machine.nodes; }

}  // namespace arch
