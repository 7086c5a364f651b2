// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace arch {

/// This CPU's local APIC in xAPIC mode (Intel SDM volume 3, 11.6): what it takes to start, stop and
/// interrupt other CPUs.
class LocalApic {
 public:
  /// Maps the registers and enables the APIC. False when there is none, or when it is in x2APIC
  /// mode, which cannot be left. Called before the rest, which needs it.
  bool Open();

  /// Resets a CPU: it waits for `Startup` and executes nothing.
  void Init(uint8_t apic_id);
  /// Starts a CPU that waits, in real mode at `page` * 4 KiB.
  void Startup(uint8_t apic_id, uint8_t page);
  /// Interrupts a CPU, whether it takes interrupts or not.
  void Nmi(uint8_t apic_id);

 private:
  void Send(uint8_t apic_id, uint32_t command);
  volatile uint32_t* Register(uint64_t offset) const {
    return reinterpret_cast<volatile uint32_t*>(base_ + offset);
  }

  uint64_t base_ = 0;
};

}  // namespace arch
