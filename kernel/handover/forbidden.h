// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/generation.h"

namespace handover {

/// Does what the rights of the kernel's pages forbid, if such a fault (kernel/rig/fault.h) is
/// armed: `write-text`, `write-constants`, `execute-data`, `execute-ram`, `stack-overflow`,
/// `stack-overflow-ap`. Each must end in an exception; where it does not, the kernel goes on.
void DoForbidden(Generation& generation);

}  // namespace handover
