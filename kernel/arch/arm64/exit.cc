// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/exit.h"

#include "kernel/arch/arm64/psci.h"
#include "kernel/arch/cpu.h"
#include "kernel/arch/exit.h"

// Arm semihosting, release 2.0, SYS_EXIT.

namespace arch {
namespace {

constexpr uint64_t kSysExit = 0x18;
constexpr uint64_t kApplicationExit = 0x20026;

enum class Attempt : uint8_t { kNone, kSemihosting, kPsci };
Attempt attempt = Attempt::kNone;

[[noreturn]] void PowerOff() {
  attempt = Attempt::kPsci;
  CallPsci(kPsciSystemOff);
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
