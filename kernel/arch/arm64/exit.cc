// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/exit.h"

#include "kernel/arch/arch.h"
#include "kernel/arch/arm64/registers.h"

// Arm semihosting, release 2.0, SYS_EXIT, and Arm PSCI (DEN 0022), SYSTEM_OFF.

namespace arch {
namespace {

constexpr uint64_t kSysExit = 0x18;
constexpr uint64_t kApplicationExit = 0x20026;
constexpr uint64_t kPsciSystemOff = 0x84000008;

enum class Attempt : uint8_t { kNone, kSemihosting, kPsci };
Attempt attempt = Attempt::kNone;

/// Firmware is reached by a call to the level above: HVC from EL1, SMC from EL2.
[[noreturn]] void PowerOff() {
  attempt = Attempt::kPsci;
  register uint64_t x0 asm("x0") = kPsciSystemOff;
  if (AtEl2()) {
    asm volatile("smc #0" : "+r"(x0)::"memory");
  } else {
    asm volatile("hvc #0" : "+r"(x0)::"memory");
  }
  Halt();
}

}  // namespace

void ContinueExit() {
  if (attempt == Attempt::kSemihosting) PowerOff();
  if (attempt == Attempt::kPsci) Halt();
}

void Exit(ExitStatus status) {
  const uint64_t parameters[2] = {kApplicationExit, static_cast<uint64_t>(status)};
  attempt = Attempt::kSemihosting;
  register uint64_t x0 asm("x0") = kSysExit;
  register const uint64_t* x1 asm("x1") = parameters;
  asm volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
  PowerOff();
}

}  // namespace arch
