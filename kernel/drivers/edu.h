// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/arch/devices.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace drivers {

/// QEMU's educational device (docs/specs/edu.txt): a buffer of its own, and a DMA engine that
/// copies between it and memory. A transfer takes 100 ms of virtual time and is done as one copy at
/// its end, with the bus mastering that the function has then. An address is cut down to
/// the device's property `dma_mask`, 28 bits unless it is given.
class Edu {
 public:
  static constexpr uint32_t kPciId = 0x11e81234;
  static constexpr uint64_t kRegisterBytes = 1 << 20;
  /// QEMU aborts on a transfer that reaches the end.
  static constexpr uint32_t kBufferBytes = 4096;
  static constexpr uint64_t kTransferNanoseconds = 100'000'000;

  Edu() = default;

  /// The first one there is, with its registers mapped and bus mastering on, through every bridge
  /// above it. For a machine's first kernel: see `AssignPciMemory`. Errors: `kNotFound`, those of
  /// `MapDevice`, and `kMagic` when it does not answer as an edu does.
  static khocore::Result<Edu> Find();
  /// One that another kernel has left running: nothing is written to configuration space or to
  /// the device. Errors: `kNotFound` when `function` is no edu whose registers are there, those of
  /// `MapDevice`, and `kMagic`.
  static khocore::Result<Edu> TakeOver(arch::PciFunction function, khocore::PhysAddr registers);

  arch::PciFunction function() const { return function_; }
  khocore::PhysAddr registers() const { return registers_; }

  /// Starts a copy of `bytes` from the bus address `memory`, below 4 GiB, to `offset` in the
  /// buffer. Not while one is under way.
  void StartLoad(khocore::PhysAddr memory, uint32_t offset, uint32_t bytes) const;
  /// The reverse.
  void StartStore(khocore::PhysAddr memory, uint32_t offset, uint32_t bytes) const;
  /// Whether a transfer is under way.
  bool IsBusy() const;
  /// When a transfer that starts now ends, by `arch::Counter` under QEMU's `-icount`: QEMU counts
  /// from the last whole millisecond.
  static uint64_t EndOfTransfer();
  /// Waits until none is. False when that takes ten times as long as it should.
  bool Wait() const;

 private:
  Edu(arch::PciFunction function, khocore::PhysAddr registers)
      : function_(function), registers_(registers) {}

  khocore::Status Check() const;
  void Start(uint64_t from, uint64_t to, uint32_t bytes, uint32_t command) const;

  arch::PciFunction function_ = {};
  khocore::PhysAddr registers_;
};

}  // namespace drivers
