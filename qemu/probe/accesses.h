// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "qemu/probe/control_block.h"
#include "qemu/probe/ram.h"

namespace probe {

/// Records stores to watched pages, and counts fetches and stores outside of given ranges.
///
/// Not seen, because QEMU does not report them to plugins: what a device writes by DMA, what
/// hardware pushes on an exception, accessed and dirty bits in page tables, arm64's `dc zva`, and
/// what the host writes. Bytes of stores by several CPUs at once may be attributed to either.
class Accesses {
 public:
  /// Both outlive the object.
  Accesses(ControlBlock& block, const Ram& ram) : block_(block), ram_(ram) {}

  /// Whether anybody wants stores at all: cheap, before the address of one is looked up.
  bool WantsStores() const {
    return (__atomic_load_n(&block_.watch_armed, __ATOMIC_RELAXED) |
            __atomic_load_n(&block_.stores_outside.armed, __ATOMIC_RELAXED)) != 0;
  }

  /// A CPU has stored `size` bytes at `offset`, all in one page; what it stored is already there.
  void OnStore(uint32_t cpu, uint64_t pc, uint64_t virtual_address, uint64_t offset, uint64_t size);

  /// A CPU begins a block of instructions at `physical`, kNoPhysical outside of RAM.
  void OnBlock(uint32_t cpu, uint64_t pc, uint64_t physical);

 private:
  uint8_t* ShadowOf(uint64_t offset) const;  // nullptr when its page is not watched
  void Count(Absence& absence, const Access& access);
  void Record(const Access& access, uint64_t offset, uint64_t size);

  ControlBlock& block_;
  const Ram& ram_;
  bool busy_ = false;  // recording; CPUs run on several threads
};

}  // namespace probe
