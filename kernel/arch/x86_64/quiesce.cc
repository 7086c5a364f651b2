// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/quiesce.h"

#include <stdint.h>

#include "kernel/arch/cpu.h"
#include "kernel/arch/devices.h"
#include "kernel/arch/mmu.h"
#include "kernel/arch/x86_64/io.h"

// Intel 8254, 8259A, 82093AA and HPET 1.0a data sheets; SDM volume 3, chapter 11 (local APIC).

namespace arch {

using khocore::PhysAddr;

namespace {

PhysAddr MapPage(uint64_t address) {
  const PhysAddr page = PhysAddr::FromRaw(address);
  return MapDevice({page, khocore::kPageSize}).ok() ? page : PhysAddr();
}

// ---- 8254, channel 0

constexpr uint16_t kPitChannel0 = 0x40;
constexpr uint16_t kPitControl = 0x43;
constexpr uint8_t kPitOneShot = 0x30;
constexpr uint8_t kPitPeriodic = 0x34;

// ---- HPET at its usual place

constexpr uint64_t kHpetConfiguration = 0x10;
constexpr uint64_t kHpetTimer0 = 0x100;
constexpr uint32_t kHpetRunning = 1;
constexpr uint32_t kHpetLegacy = 2;
constexpr uint32_t kHpetTimerInterrupt = 1 << 2;
constexpr uint64_t kHpetTimerBytes = 0x20;

/// Null where there is none.
PhysAddr FindHpet() {
  constexpr uint64_t kAddress = 0xfed00000;
  constexpr uint32_t kIntel = 0x8086;
  const PhysAddr hpet = MapPage(kAddress);
  // The vendor in the capabilities tells a HPET from an empty address.
  return !hpet.is_null() && ReadDevice(hpet) >> 16 == kIntel ? hpet : PhysAddr();
}

unsigned StopHpet() {
  const PhysAddr hpet = FindHpet();
  if (hpet.is_null()) return 0;
  const uint32_t value = ReadDevice(hpet + kHpetConfiguration);
  WriteDevice(hpet + kHpetConfiguration, value & ~(kHpetRunning | kHpetLegacy));
  const uint32_t timers = (ReadDevice(hpet) >> 8 & 0x1f) + 1;
  for (uint32_t i = 0; i < timers; ++i) {
    const PhysAddr timer = hpet + kHpetTimer0 + i * kHpetTimerBytes;
    WriteDevice(timer, ReadDevice(timer) & ~kHpetTimerInterrupt);
  }
  return (value & kHpetRunning) != 0 ? 1 : 0;
}

// ---- local APIC

constexpr unsigned kSpuriousVector = 0xf0;
constexpr unsigned kEndOfInterrupt = 0xb0;
constexpr unsigned kTimerDivider = 0x3e0;
constexpr uint32_t kDividedByOne = 0xb;
constexpr unsigned kErrorVector = 0x370;  // the last of the local vectors
constexpr unsigned kTimerVector = 0x320;
constexpr unsigned kThermalVector = 0x330;
constexpr unsigned kPerformanceVector = 0x340;
constexpr unsigned kLint0Vector = 0x350;
constexpr unsigned kLint1Vector = 0x360;
constexpr unsigned kVersion = 0x30;
constexpr unsigned kTimerCount = 0x380;
constexpr uint32_t kSoftwareEnable = 1 << 8;
constexpr uint32_t kMasked = 1 << 16;
constexpr uint32_t kPeriodic = 1 << 17;
constexpr uint32_t kExternal = 7 << 8;
constexpr uint32_t kUnusedVector = 0xf0;

/// This CPU's, in whichever mode it is.
class Apic {
 public:
  /// False when there is none, or it is off.
  bool Open() {
    constexpr uint32_t kCpuidApic = 1 << 9;
    constexpr uint64_t kEnabled = 1 << 11, kX2Apic = 1 << 10, kAddress = 0xffffff000;
    if ((Cpuid(1).edx & kCpuidApic) == 0) return false;
    const uint64_t base = ReadMsr(kMsrApicBase);
    if ((base & kEnabled) == 0) return false;
    if ((base & kX2Apic) != 0) return true;
    registers_ = MapPage(base & kAddress);
    return !registers_.is_null();
  }

  uint32_t Read(unsigned offset) const {
    if (!registers_.is_null()) return ReadDevice(registers_ + offset);
    return static_cast<uint32_t>(ReadMsr(kMsrX2Apic + offset / 16));
  }
  void Write(unsigned offset, uint32_t value) const {
    if (!registers_.is_null()) return WriteDevice(registers_ + offset, value);
    WriteMsr(kMsrX2Apic + offset / 16, value);
  }

  /// Masks a local source. Returns 1 when it was open.
  unsigned Mask(unsigned vector) const {
    const uint32_t value = Read(vector);
    Write(vector, value | kMasked);
    return (value & kMasked) == 0 ? 1 : 0;
  }

 private:
  PhysAddr registers_;  ///< null in x2APIC mode
};

unsigned StopApicTimer() {
  Apic apic;
  if (!apic.Open()) return 0;
  const bool counts = apic.Read(kTimerCount) != 0;
  // In its TSC deadline mode, too, it is disarmed by the mask.
  const unsigned open = apic.Mask(kTimerVector);
  apic.Write(kTimerCount, 0);
  return counts || open != 0 ? 1 : 0;
}

unsigned MaskLocalSources() {
  constexpr unsigned kVectors[] = {kErrorVector, kPerformanceVector, kLint0Vector, kLint1Vector,
                                   kThermalVector};
  Apic apic;
  if (!apic.Open()) return 0;
  const unsigned last = apic.Read(kVersion) >> 16 & 0xff;
  unsigned open = 0;
  for (const unsigned vector : kVectors) {
    // Only later APICs have the last two.
    if (vector == kPerformanceVector && last < 4) continue;
    if (vector == kThermalVector && last < 5) continue;
    open += apic.Mask(vector);
  }
  return open;
}

// ---- I/O APIC at its usual place

class IoApic {
 public:
  /// The number of its lines, 0 where there is none.
  uint32_t Open() {
    constexpr uint64_t kAddress = 0xfec00000;
    constexpr uint32_t kVersionRegister = 1, kMaxLines = 240;
    registers_ = MapPage(kAddress);
    if (registers_.is_null()) return 0;
    const uint32_t version = Read(kVersionRegister);
    const uint32_t lines = (version >> 16 & 0xff) + 1;
    // Where there is none, a read gives all zeros or all ones.
    return (version & 0xff) == 0 || lines > kMaxLines ? 0 : lines;
  }

  uint32_t ReadLine(uint32_t line) const { return Read(kFirstLine + 2 * line); }
  void WriteLine(uint32_t line, uint32_t value) const {
    WriteDevice(registers_, kFirstLine + 2 * line);
    WriteDevice(registers_ + kData, value);
  }

 private:
  static constexpr uint64_t kData = 0x10;
  static constexpr uint32_t kFirstLine = 0x10;

  uint32_t Read(uint32_t index) const {
    WriteDevice(registers_, index);
    return ReadDevice(registers_ + kData);
  }

  PhysAddr registers_;
};

unsigned MaskIoApic() {
  IoApic io_apic;
  unsigned open = 0;
  const uint32_t lines = io_apic.Open();
  for (uint32_t line = 0; line < lines; ++line) {
    const uint32_t entry = io_apic.ReadLine(line);
    if (entry & kMasked) continue;
    io_apic.WriteLine(line, entry | kMasked);
    ++open;
  }
  return open;
}

// ---- 8259

constexpr uint16_t kPicMaskPorts[] = {0x21, 0xa1};
constexpr uint8_t kAllLines = 0xff;

unsigned MaskPic() {
  unsigned open = 0;
  for (const uint16_t port : kPicMaskPorts) {
    open += static_cast<unsigned>(__builtin_popcount(static_cast<uint8_t>(~InByte(port))));
    OutByte(port, kAllLines);
  }
  return open;
}

}  // namespace

void DisableInterrupts() { asm volatile("cli" : : : "memory"); }

unsigned StopTimers() {
  // Channel 0 never gets a count for its one shot, so it stops. Whether it ran cannot be read.
  OutByte(kPitControl, kPitOneShot);
  return StopHpet() + StopApicTimer();
}

unsigned StopInterruptLines() { return MaskIoApic() + MaskPic() + MaskLocalSources(); }

unsigned StopInterruptControllers() {
  Apic apic;
  if (!apic.Open()) return 0;
  const uint32_t spurious = apic.Read(kSpuriousVector);
  apic.Write(kSpuriousVector, spurious & ~kSoftwareEnable);
  return (spurious & kSoftwareEnable) != 0 ? 1 : 0;
}

/// The timer's unit may differ between machines, so the counter decides.
void Sleep(uint64_t nanoseconds) {
  constexpr uint64_t kLongest = ~uint32_t{0};
  Apic apic;
  const uint64_t started = Counter();
  const bool can_idle = apic.Open();
  (void)StopInterruptLines();
  const uint32_t spurious = can_idle ? apic.Read(kSpuriousVector) : 0;
  if (can_idle) {
    apic.Write(kSpuriousVector, spurious | kSoftwareEnable);
    apic.Write(kTimerDivider, kDividedByOne);
    apic.Write(kTimerVector, kUnusedVector);
  }
  for (;;) {
    const uint64_t passed = Counter() - started;
    if (passed >= nanoseconds) break;
    if (!can_idle) {
      Pause();
      continue;
    }
    const uint64_t left = nanoseconds - passed;
    apic.Write(kTimerCount, static_cast<uint32_t>(left < kLongest ? left : kLongest));
    asm volatile("sti; hlt; cli" : : : "memory");
    apic.Write(kEndOfInterrupt, 0);
  }
  (void)StopApicTimer();
  if (can_idle) apic.Write(kSpuriousVector, spurious);
}

void StartTimers() {
  OutByte(kPitControl, kPitPeriodic);
  OutByte(kPitChannel0, 0);  // the longest period
  OutByte(kPitChannel0, 0);
  if (const PhysAddr hpet = FindHpet(); !hpet.is_null()) {
    WriteDevice(hpet + kHpetTimer0, ReadDevice(hpet + kHpetTimer0) | kHpetTimerInterrupt);
    const uint32_t value = ReadDevice(hpet + kHpetConfiguration);
    WriteDevice(hpet + kHpetConfiguration, value | kHpetRunning);
  }
  if (Apic apic; apic.Open()) {
    // A local vector cannot be unmasked while software has the APIC disabled.
    apic.Write(kSpuriousVector, apic.Read(kSpuriousVector) | kSoftwareEnable);
    apic.Write(kTimerVector, kPeriodic | kUnusedVector);
    apic.Write(kTimerCount, ~uint32_t{0});
  }
}

void StartInterruptLines() {
  IoApic io_apic;
  const uint32_t lines = io_apic.Open();
  for (uint32_t line = 0; line < lines; ++line) io_apic.WriteLine(line, kUnusedVector);
  for (const uint16_t port : kPicMaskPorts) OutByte(port, 0);
  if (Apic apic; apic.Open()) {
    apic.Write(kErrorVector, kUnusedVector);
    apic.Write(kLint0Vector, kExternal);
  }
}

uint64_t InterruptTableBytes(size_t) { return 0; }

void StartInterruptControllers(khocore::PhysRange) {
  if (Apic apic; apic.Open()) {
    apic.Write(kSpuriousVector, apic.Read(kSpuriousVector) | kSoftwareEnable);
  }
}

}  // namespace arch
