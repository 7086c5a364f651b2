// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/types.h"

namespace arch {

/// The stack that `address` lies in, of the CPU that booted or of one that it started; empty when
/// it is none. The kernel's own stack is a virtual range.
khocore::PhysRange StackAround(uint64_t address);

}  // namespace arch
