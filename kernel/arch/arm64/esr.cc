// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/esr.h"

namespace arch {

namespace {

constexpr uint64_t kClassInstructionAbort = 0x20;
constexpr uint64_t kClassDataAbort = 0x24;
constexpr uint64_t kWrite = 1 << 6;

uint64_t ClassOf(uint64_t esr) { return esr >> 26 & 0x3f; }
bool IsDataAbort(uint64_t esr) { return (ClassOf(esr) & ~uint64_t{1}) == kClassDataAbort; }

}  // namespace

bool IsAbort(uint64_t esr) {
  return (ClassOf(esr) & ~uint64_t{1}) == kClassInstructionAbort || IsDataAbort(esr);
}

const char* AccessName(uint64_t esr) {
  if (!IsDataAbort(esr)) return "fetch";
  return (esr & kWrite) != 0 ? "write" : "read";
}

const char* ClassName(uint64_t esr) {
  switch (ClassOf(esr)) {
    case 0x00:
      return "undefined instruction";
    case 0x01:
      return "trapped wfi or wfe";
    case 0x07:
      return "trapped floating point";
    case 0x0d:
      return "branch target";
    case 0x0e:
      return "illegal execution state";
    case 0x15:
      return "svc";
    case 0x16:
      return "hvc";
    case 0x17:
      return "smc";
    case 0x18:
      return "trapped system register";
    case 0x20:
    case 0x21:
      return "instruction abort";
    case 0x22:
      return "pc alignment";
    case 0x24:
    case 0x25:
      return "data abort";
    case 0x26:
      return "sp alignment";
    case 0x2f:
      return "serror";
    case 0x30:
    case 0x31:
      return "breakpoint";
    case 0x3c:
      return "brk";
    default:
      return "unknown class";
  }
}

const char* FaultName(uint64_t esr, int* level) {
  const uint64_t code = esr & 0x3f;
  *level = code < 0x10 || (code >= 0x14 && code < 0x18) ? static_cast<int>(code & 3) : -1;
  switch (code >> 2) {
    case 0x00 >> 2:
      return "address size";
    case 0x04 >> 2:
      return "translation";
    case 0x08 >> 2:
      return "access flag";
    case 0x0c >> 2:
      return "permission";
    case 0x14 >> 2:
      return "external abort on a table walk";
    default:
      break;
  }
  return code == 0x10 ? "external abort" : code == 0x21 ? "alignment" : "other fault";
}

}  // namespace arch
