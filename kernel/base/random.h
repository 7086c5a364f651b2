// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace base {

/// splitmix64, as docs/abi.md defines it for guest and host.
class Random {
 public:
  explicit constexpr Random(uint64_t state) : state_(state) {}
  /// The stream of numbers for one purpose, such as "blocks", of a run with `seed`.
  static Random ForPurpose(uint64_t seed, const char* purpose);
  /// From a stream that nothing was taken from: the one that has the same purpose and a seed that
  /// is larger by `more`.
  constexpr Random ForLaterSeed(uint64_t more) const { return Random(state_ + more); }

  constexpr uint64_t Next() {
    state_ += kIncrement;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// A number below `limit`, which is not zero.
  constexpr uint64_t Below(uint64_t limit) { return Next() % limit; }

  static constexpr uint64_t kIncrement = 0x9e3779b97f4a7c15;

 private:
  uint64_t state_;
};

}  // namespace base
