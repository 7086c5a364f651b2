// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "qemu/probe/control_block.h"

namespace probe {

/// Stops the CPU that asks, until the host answers.
class Stops {
 public:
  /// `block` outlives the object; `socket` is this end of the pair.
  Stops(ControlBlock& block, int socket) : block_(block), socket_(socket) {}

  /// Whether a block that executes `physical` at `virtual_address` may have to stop there.
  bool WantsFetch(uint64_t virtual_address, uint64_t physical) const;

  /// Whether the first execution of an address in [begin, end) is awaited. Returns it, or 0.
  uint64_t AwaitedIn(uint64_t begin, uint64_t end) const;

  /// A CPU is about to execute the instruction at `pc`: stops it if that is still wanted. Only one
  /// CPU stops for each time the host arms it.
  void OnFetch(uint32_t cpu, uint64_t pc, uint64_t physical);
  void OnAddress(uint32_t cpu, uint64_t pc, uint64_t physical);

 private:
  void Stop(StopKind kind, uint32_t cpu, uint64_t pc, uint64_t physical);

  ControlBlock& block_;
  const int socket_;
};

/// Whether `address` lies in one of `ranges`.
bool IsIn(const Range* ranges, uint64_t count, uint64_t address);

}  // namespace probe
