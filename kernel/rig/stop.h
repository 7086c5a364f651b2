// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace rig {

/// Waits until the host writes the byte `g` to the console. The caller has printed the `stop`
/// event. Returns the virtual time spent waiting, in nanoseconds.
uint64_t WaitForHost();

/// Measures a phase of a generation: virtual time from construction to `End`.
class Phase {
 public:
  explicit Phase(const char* name);
  /// Prints the `phase` event. With `blocks`, those and `pages` are part of it.
  void End(uint64_t blocks = 0, uint64_t pages = 0);
  /// A second stretch of the same phase, printed together by `End`.
  void Suspend();
  void Resume();

 private:
  const char* name_;
  uint64_t started_;
  uint64_t sum_ = 0;
};

/// Prints the `phase` event of a phase that was measured otherwise. 0 blocks are left out.
void ReportPhase(const char* name, uint64_t nanoseconds, uint64_t blocks, uint64_t pages);

}  // namespace rig
