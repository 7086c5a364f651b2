// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

// What an exception says: Intel SDM volume 3, 6.15.

namespace arch {

inline constexpr unsigned kExceptionVectors = 32;
inline constexpr unsigned kNmi = 2;
inline constexpr unsigned kDoubleFault = 8;
inline constexpr unsigned kPageFault = 14;
inline constexpr unsigned kMachineCheck = 18;

const char* VectorName(uint64_t vector);
/// Why an access was a page fault, and which it was: read, write or fetch.
const char* PageFaultCause(uint64_t error_code);
const char* PageFaultAccess(uint64_t error_code);

}  // namespace arch
