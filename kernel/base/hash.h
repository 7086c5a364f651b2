// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace base {

/// XXH64 with seed 0.
uint64_t Hash(const void* bytes, size_t size);

}  // namespace base
