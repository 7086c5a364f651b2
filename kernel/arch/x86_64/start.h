// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/types.h"

/// What the boot protocols need of the running kernel. `__start` itself, which their entry code
/// jumps to, is described in start.S.

namespace arch {

/// Where this kernel lies, zero-initialized data included.
khocore::PhysRange ImageInMemory();

}  // namespace arch
