// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/arch/x86_64/segments.h"

/// The instructions that C++ has no words for. All of them are privileged.

namespace arch {

inline void OutByte(uint16_t port, uint8_t value) {
  asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
inline uint8_t InByte(uint16_t port) {
  uint8_t value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
inline void OutWord(uint16_t port, uint16_t value) {
  asm volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}
inline void OutLong(uint16_t port, uint32_t value) {
  asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
inline uint32_t InLong(uint16_t port) {
  uint32_t value;
  asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

inline constexpr uint32_t kMsrApicBase = 0x1b;
inline constexpr uint32_t kMsrX2Apic = 0x800;  ///< the local APIC's first register
inline constexpr uint32_t kMsrEfer = MSR_EFER;
inline constexpr uint32_t kMsrFsBase = MSR_FS_BASE;
inline constexpr uint64_t kEferNoExecuteEnable = uint64_t{1} << EFER_NXE_BIT;
inline constexpr uint64_t kCr4FiveLevelPaging = uint64_t{1} << 12;

inline uint64_t ReadMsr(uint32_t msr) {
  uint32_t low, high;
  asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
  return uint64_t{high} << 32 | low;
}
inline void WriteMsr(uint32_t msr, uint64_t value) {
  asm volatile("wrmsr"
               :
               : "c"(msr), "a"(static_cast<uint32_t>(value)),
                 "d"(static_cast<uint32_t>(value >> 32))
               : "memory");
}

inline uint64_t ReadCr2() {
  uint64_t value;
  asm volatile("mov %%cr2, %0" : "=r"(value));
  return value;
}
inline uint64_t ReadCr3() {
  uint64_t value;
  asm volatile("mov %%cr3, %0" : "=r"(value));
  return value;
}
/// Loading CR3 drops every cached translation, because no page is mapped as global.
inline void WriteCr3(uint64_t value) { asm volatile("mov %0, %%cr3" : : "r"(value) : "memory"); }
inline uint64_t ReadCr0() {
  uint64_t value;
  asm volatile("mov %%cr0, %0" : "=r"(value));
  return value;
}
inline void WriteCr0(uint64_t value) { asm volatile("mov %0, %%cr0" : : "r"(value) : "memory"); }
inline uint64_t ReadCr4() {
  uint64_t value;
  asm volatile("mov %%cr4, %0" : "=r"(value));
  return value;
}
inline void WriteCr4(uint64_t value) { asm volatile("mov %0, %%cr4" : : "r"(value) : "memory"); }

/// How many levels the CPU's page tables have now: 4, or 5 with LA57.
inline unsigned PagingLevels() { return ReadCr4() & kCr4FiveLevelPaging ? 5 : 4; }

struct CpuidResult {
  uint32_t eax, ebx, ecx, edx;
};
inline CpuidResult Cpuid(uint32_t leaf) {
  CpuidResult r;
  asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(0));
  return r;
}

}  // namespace arch
