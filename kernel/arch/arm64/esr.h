// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

// What an exception syndrome says: Arm ARM (DDI 0487), ESR_EL1 and ESR_EL2.

namespace arch {

/// Whether the exception is an abort of an instruction or of data, which has an address.
bool IsAbort(uint64_t esr);
/// Of any exception.
const char* ClassName(uint64_t esr);
/// The fault of an abort; `*level` is set for those that have one, else -1.
const char* FaultName(uint64_t esr, int* level);
/// What an abort could not do: read, write or fetch.
const char* AccessName(uint64_t esr);

}  // namespace arch
