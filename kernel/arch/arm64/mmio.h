// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/types.h"

namespace arch {

/// A device register at an address that `MapDevice` has mapped. In assembly, because hypervisors
/// can emulate only the simple forms of loads and stores.
inline uint32_t ReadMmio32(khocore::PhysAddr address) {
  uint32_t value;
  asm volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address.raw()) : "memory");
  return value;
}
inline void WriteMmio32(khocore::PhysAddr address, uint32_t value) {
  asm volatile("str %w0, [%1]" ::"r"(value), "r"(address.raw()) : "memory");
}

}  // namespace arch
