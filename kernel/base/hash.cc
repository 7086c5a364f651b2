// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/hash.h"

#include "kernel/base/random.h"

// Pages are aligned; without the check every word would be put together from bytes on arm64.
#define XXH_FORCE_ALIGN_CHECK 1
#include <xxhash.h>

namespace base {

uint64_t Hash(const void* bytes, size_t size) { return XXH64(bytes, size, 0); }

Random Random::ForPurpose(uint64_t seed, const char* purpose) {
  return Random(seed + Hash(purpose, __builtin_strlen(purpose)));
}

}  // namespace base
