// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/arch/arm64/machine.h"

// Arm Power State Coordination Interface (DEN 0022). The device tree has the conduit (Linux
// Documentation/devicetree/bindings/arm/psci.yaml, `method`): firmware at EL3 takes SMC from any
// level, a hypervisor HVC.

namespace arch {

inline constexpr uint64_t kPsciCpuOff = 0x84000002;
inline constexpr uint64_t kPsciSystemOff = 0x84000008;
inline constexpr uint64_t kPsciCpuOn = 0xc4000003;         ///< target, entry, its x0
inline constexpr uint64_t kPsciAffinityInfo = 0xc4000004;  ///< target, lowest level

inline constexpr uint64_t kPsciSuccess = 0;
inline constexpr uint64_t kPsciNotSupported = -uint64_t{1};
inline constexpr uint64_t kPsciAlreadyOn = -uint64_t{4};
inline constexpr uint64_t kPsciOff = 1;  ///< of `kPsciAffinityInfo`

/// Returns `kPsciNotSupported` where this machine has no PSCI.
inline uint64_t CallPsci(uint64_t function, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0) {
  const Machine::Psci conduit = this_machine.psci;
  if (conduit == Machine::Psci::kNone) return kPsciNotSupported;
  register uint64_t x0 asm("x0") = function;
  register uint64_t x1 asm("x1") = a;
  register uint64_t x2 asm("x2") = b;
  register uint64_t x3 asm("x3") = c;
  if (conduit == Machine::Psci::kSmc) {
    asm volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory");
  } else {
    asm volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory");
  }
  return x0;
}

}  // namespace arch
