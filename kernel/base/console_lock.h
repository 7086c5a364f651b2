// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace core {

/// Keeps what one CPU prints together. A CPU may hold it more than once; one that panics goes on
/// without it when its owner does not let go.
class ConsoleLock {
 public:
  ConsoleLock();
  ~ConsoleLock();
  ConsoleLock(const ConsoleLock&) = delete;
  ConsoleLock& operator=(const ConsoleLock&) = delete;
};

}  // namespace core
