// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/vectors.h"

namespace arch {

namespace {

constexpr const char* kNames[kExceptionVectors] = {
    "#DE divide error",
    "#DB debug",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR bound range",
    "#UD invalid opcode",
    "#NM no FPU",
    "#DF double fault",
    "coprocessor overrun",
    "#TS invalid TSS",
    "#NP segment not present",
    "#SS stack segment",
    "#GP general protection",
    "#PF page fault",
    "vector 15",
    "#MF x87 error",
    "#AC alignment check",
    "#MC machine check",
    "#XM SIMD error",
    "#VE virtualization",
    "#CP control protection",
    "vector 22",
    "vector 23",
    "vector 24",
    "vector 25",
    "vector 26",
    "vector 27",
    "#HV hypervisor injection",
    "#VC VMM communication",
    "#SX security",
    "vector 31",
};

constexpr uint64_t kProtection = 1, kWrite = 2, kReserved = 8, kFetch = 16;

}  // namespace

const char* VectorName(uint64_t vector) { return kNames[vector % kExceptionVectors]; }

const char* PageFaultCause(uint64_t error_code) {
  if (error_code & kReserved) return "reserved bit set in an entry";
  return error_code & kProtection ? "not allowed" : "not mapped";
}

const char* PageFaultAccess(uint64_t error_code) {
  if (error_code & kFetch) return "fetch";
  return error_code & kWrite ? "write" : "read";
}

}  // namespace arch
