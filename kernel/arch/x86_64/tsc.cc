// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/tsc.h"

namespace arch {

namespace {

constexpr uint64_t kKilohertz = 1000, kMegahertz = 1000 * kKilohertz,
                   kGigahertz = 1000 * kMegahertz;

}  // namespace

uint64_t TscFrequency(khocore::FunctionRef<CpuidResult(uint32_t leaf)> cpuid) {
  // EAX is the kHz of the counter; Linux's vmware_get_tsc_khz() and QEMU's vmware-cpuid-freq.
  constexpr uint32_t kHypervisor = 1U << 31, kHypervisorBase = 0x40000000;
  constexpr uint32_t kHypervisorFrequency = 0x40000010;
  // A crystal of ECX Hz times EBX / EAX; the base frequency in MHz, bits 15 to 0 of EAX.
  constexpr uint32_t kCrystal = 0x15, kProcessor = 0x16;
  if ((cpuid(1).ecx & kHypervisor) != 0 && cpuid(kHypervisorBase).eax >= kHypervisorFrequency) {
    const uint64_t kilohertz = cpuid(kHypervisorFrequency).eax;
    if (kilohertz != 0) return kilohertz * kKilohertz;
  }
  const uint32_t last = cpuid(0).eax;
  if (last >= kCrystal) {
    const CpuidResult crystal = cpuid(kCrystal);
    if (crystal.eax != 0 && crystal.ebx != 0 && crystal.ecx != 0) {
      return uint64_t{crystal.ecx} * crystal.ebx / crystal.eax;
    }
  }
  if (last >= kProcessor) {
    const uint64_t megahertz = cpuid(kProcessor).eax & 0xffff;
    if (megahertz != 0) return megahertz * kMegahertz;
  }
  return kGigahertz;
}

}  // namespace arch
