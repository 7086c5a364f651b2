// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace arch {

inline constexpr uint64_t kNanosecondsPerSecond = 1'000'000'000;

/// How long `ticks` of a counter take that counts `frequency` a second, which is not 0 and at most
/// 18 GHz. Wraps after 584 years.
constexpr uint64_t NanosecondsOf(uint64_t ticks, uint64_t frequency) {
  if (frequency == kNanosecondsPerSecond) return ticks;
  return ticks / frequency * kNanosecondsPerSecond +
         ticks % frequency * kNanosecondsPerSecond / frequency;
}

}  // namespace arch
