// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace console {

/// Keeps what one CPU prints together. Recursive; a panicking CPU steals it after a timeout.
class ConsoleLock {
 public:
  ConsoleLock();
  ~ConsoleLock();
  ConsoleLock(const ConsoleLock&) = delete;
  ConsoleLock& operator=(const ConsoleLock&) = delete;
};

}  // namespace console
