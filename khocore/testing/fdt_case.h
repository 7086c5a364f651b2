// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/types.h"

namespace khocore {

/// Views the input as a flattened device tree, magic and total size set right, and aborts unless
/// `FdtView` and libfdt agree on it: what one of them refuses the other does, but for the few rules
/// in which `FdtView` is the stricter one, and both read the same nodes, names and values.
/// Returns whether the tree was accepted.
bool RunFdtCase(Span<const uint8_t> input);

}  // namespace khocore
