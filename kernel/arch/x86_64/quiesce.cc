// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/quiesce.h"

#include "kernel/arch/mmu.h"
#include "kernel/arch/quiesce.h"
#include "kernel/arch/x86_64/io.h"

namespace arch {

using khocore::PhysAddr;

namespace {

volatile uint32_t* DeviceRegister(uint64_t address) {
  return reinterpret_cast<volatile uint32_t*>(address);
}

bool MapPage(uint64_t address) {
  return MapDevice({PhysAddr::FromRaw(address), khocore::kPageSize}).ok();
}

/// Masks the two 8259s. Returns how many lines were open.
unsigned MaskPic() {
  constexpr uint16_t kMaskPorts[] = {0x21, 0xa1};
  constexpr uint8_t kAll = 0xff;
  unsigned open = 0;
  for (const uint16_t port : kMaskPorts) {
    open += static_cast<unsigned>(__builtin_popcount(static_cast<uint8_t>(~InByte(port))));
    OutByte(port, kAll);
  }
  return open;
}

/// Masks every line of the I/O APIC at its usual place. Returns how many were open.
unsigned MaskIoApic() {
  constexpr uint64_t kAddress = 0xfec00000;
  constexpr uint32_t kVersion = 1, kFirstLine = 0x10;
  constexpr uint32_t kMasked = 1 << 16;
  constexpr uint32_t kMaxLines = 240;
  if (!MapPage(kAddress)) return 0;
  volatile uint32_t* select = DeviceRegister(kAddress);
  volatile uint32_t* data = DeviceRegister(kAddress + 0x10);
  *select = kVersion;
  const uint32_t version = *data;
  const uint32_t lines = (version >> 16 & 0xff) + 1;
  // Where there is none, a read gives all zeros or all ones.
  if ((version & 0xff) == 0 || lines > kMaxLines) return 0;
  unsigned open = 0;
  for (uint32_t line = 0; line < lines; ++line) {
    *select = kFirstLine + 2 * line;
    const uint32_t entry = *data;
    if (entry & kMasked) continue;
    *data = entry | kMasked;
    ++open;
  }
  return open;
}

/// Disables this CPU's APIC by software, which masks its timer and all other local sources.
unsigned DisableLocalApic() {
  constexpr uint32_t kCpuidApic = 1 << 9;
  constexpr uint64_t kEnabled = 1 << 11, kX2Apic = 1 << 10, kAddress = 0xffffff000;
  constexpr uint64_t kSpuriousVector = 0xf0;
  constexpr uint32_t kSoftwareEnable = 1 << 8;
  if ((Cpuid(1).edx & kCpuidApic) == 0) return 0;
  const uint64_t base = ReadMsr(kMsrApicBase);
  if ((base & kEnabled) == 0) return 0;
  if (base & kX2Apic) {
    const uint64_t spurious = ReadMsr(kMsrX2ApicSpuriousVector);
    WriteMsr(kMsrX2ApicSpuriousVector, spurious & ~uint64_t{kSoftwareEnable});
    return spurious & kSoftwareEnable ? 1 : 0;
  }
  if (!MapPage(base & kAddress)) return 0;
  volatile uint32_t* spurious = DeviceRegister((base & kAddress) + kSpuriousVector);
  const uint32_t value = *spurious;
  *spurious = value & ~kSoftwareEnable;
  return value & kSoftwareEnable ? 1 : 0;
}

/// Programs channel 0 of the 8254 for one shot and never gives it a count, so it stops.
void StopPit() {
  constexpr uint16_t kControl = 0x43;
  constexpr uint8_t kChannel0OneShot = 0x30;
  OutByte(kControl, kChannel0OneShot);
}

/// Stops the HPET at its usual place. Returns 1 when it was running.
unsigned StopHpet() {
  constexpr uint64_t kAddress = 0xfed00000;
  constexpr uint64_t kConfiguration = 0x10;
  constexpr uint32_t kIntel = 0x8086;
  constexpr uint32_t kRunningOrLegacy = 3;
  if (!MapPage(kAddress)) return 0;
  // The vendor in the capabilities tells a HPET from an empty address.
  if (*DeviceRegister(kAddress) >> 16 != kIntel) return 0;
  volatile uint32_t* configuration = DeviceRegister(kAddress + kConfiguration);
  const uint32_t value = *configuration;
  *configuration = value & ~kRunningOrLegacy;
  return value & kRunningOrLegacy ? 1 : 0;
}

}  // namespace

void Quiesce(void (*report)(const char* what, unsigned count)) {
  asm volatile("cli" : : : "memory");
  report("PCI bus mastering", StopPciBusMasters());
  StopPit();
  report("HPET", StopHpet());
  report("I/O APIC lines", MaskIoApic());
  report("local APIC", DisableLocalApic());
  report("8259 lines", MaskPic());
}

}  // namespace arch
