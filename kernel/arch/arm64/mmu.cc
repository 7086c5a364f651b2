// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/mmu.h"

#include "kernel/arch/arm64/image_base.h"
#include "kernel/arch/arm64/registers.h"
#include "kernel/arch/mmu.h"
#include "kernel/base/panic.h"

extern "C" {
extern char __image_begin[], __text_end[], __rodata_end[], __image_end[], __stack_guard[];
/// Used by entry.S: in the section that it keeps coherent while it turns the MMU on.
__attribute__((section(".early"))) arch::KernelMap early_map;
__attribute__((section(".tables"))) arch::RunningTables running_tables;
}

namespace arch {

using khocore::AlignDown;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Status;

extern const uint64_t kImageBase = IMAGE_BASE;

/// The same fields as in asm_macros.h.
bool HasPageSize(unsigned shift) {
  const uint64_t features = KHORIG_READ_REGISTER(id_aa64mmfr0_el1);
  switch (shift) {
    case 12:
      return (features >> 28 & 0xf) != 0xf;
    case 14:
      return (features >> 20 & 0xf) != 0;
    case 16:
      return (features >> 24 & 0xf) != 0xf;
    default:
      return false;
  }
}

void PublishTables() { asm volatile("dsb ishst; isb" ::: "memory"); }

/// In the inner-shareable domain, whose CPUs share the tables.
void InvalidateTranslations() {
  asm volatile("dsb ishst" ::: "memory");
  if (AtEl2()) {
    asm volatile("tlbi alle2is" ::: "memory");
  } else {
    asm volatile("tlbi vmalle1is" ::: "memory");
  }
  asm volatile("dsb ish; isb" ::: "memory");
}

KernelMap& RunningMap() { return *early_map.self; }

void ProtectImage() {
  const auto offset = [](const char* at) { return static_cast<uint64_t>(at - __image_begin); };
  const uint64_t address =
      reinterpret_cast<uint64_t>(&RunningMap()) - offset(reinterpret_cast<const char*>(&early_map));
  RunningMap().ProtectImage(PhysAddr::FromRaw(address), {.text_end = offset(__text_end),
                                                         .rodata_end = offset(__rodata_end),
                                                         .image_end = offset(__image_end),
                                                         .stack_guard = offset(__stack_guard)});
}

Status MapRam(PhysRange range) {
  return RunningMap().MapIdentity(range, kNormal, Rights::kReadWrite);
}

Status MapDevice(PhysRange range) {
  return RunningMap().MapIdentity(range, kDevice, Rights::kReadWrite);
}

void CleanToMemory(PhysRange range) {
  const uint64_t line = uint64_t{4} << (KHORIG_READ_REGISTER(ctr_el0) >> 16 & 0xf);
  for (uint64_t at = AlignDown(range.begin.raw(), line); at < range.end().raw(); at += line) {
    asm volatile("dc civac, %0" ::"r"(at) : "memory");
  }
  asm volatile("dsb sy" ::: "memory");
}

}  // namespace arch
