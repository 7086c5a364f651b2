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
inline uint8_t ReadMmio8(khocore::PhysAddr address) {
  uint32_t value;
  asm volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address.raw()) : "memory");
  return static_cast<uint8_t>(value);
}
inline void WriteMmio8(khocore::PhysAddr address, uint8_t value) {
  asm volatile("strb %w0, [%1]" ::"r"(uint32_t{value}), "r"(address.raw()) : "memory");
}
inline void WriteMmio16(khocore::PhysAddr address, uint16_t value) {
  asm volatile("strh %w0, [%1]" ::"r"(uint32_t{value}), "r"(address.raw()) : "memory");
}

}  // namespace arch
