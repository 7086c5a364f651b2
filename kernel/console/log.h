// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/abi/clients.h"
#include "khocore/types.h"

namespace console {

/// Where `Print` keeps its text besides the console: first a small ring in the image, then the ring
/// in preserved memory that the next generation reads.

/// Appends one byte to the current ring, unless it is frozen.
void AppendToLog(char byte);

/// Switches logging to `ring` (header and `header->capacity` bytes, owned by the caller, already
/// valid) and copies the image's ring into it.
void UseLogRing(khocore::abi::LogHeader* ring);

/// From here on nothing is appended: the ring's pages are sealed.
void FreezeLog();

}  // namespace console
