// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/modes.h"

#include "kernel/arch/x86_64/exceptions.h"
#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/mmu.h"
#include "kernel/arch/x86_64/trampoline.h"

namespace arch {

namespace {

constexpr uint32_t kStructuredFeatures = 7;  ///< CPUID leaf

CpuidResult StructuredFeatures() {
  return Cpuid(0).eax < kStructuredFeatures ? CpuidResult{} : Cpuid(kStructuredFeatures);
}

bool IsSet(uint32_t word, unsigned bit) { return (word >> bit & 1) != 0; }

}  // namespace

TableLevels ReadTableLevels() {
  constexpr unsigned kLa57 = 16;  // ECX
  return {PagingLevels(), IsSet(StructuredFeatures().ecx, kLa57) ? 5u : 4u};
}

bool SwitchTableLevels(unsigned levels, const base::BootInfo& info) {
  if (levels == PagingLevels()) return true;
  const uint64_t tables = NewTables(levels);
  if (tables == 0) return false;
  const uint64_t cr4 = ReadCr4() ^ kCr4FiveLevelPaging;
  const Trampoline trampoline = WriteTrampoline(info, levels, tables, cr4);
  if (trampoline.data == nullptr) return false;
  const uint64_t fs_base = ReadMsr(kMsrFsBase);
  SetExecutable(trampoline.place.begin, true);
  PassTrampoline(trampoline.data, trampoline.place.begin.raw());
  WriteMsr(kMsrFsBase, fs_base);
  UseBootCpuTables();
  SetExecutable(trampoline.place.begin, false);
  return true;
}

void EnableProtections() {
  // What CPUID leaf 7 says, and the bit of CR4 that switches it on (Intel SDM volume 3, 2.5).
  const CpuidResult cpu = StructuredFeatures();
  const struct {
    bool has;
    unsigned cr4_bit;
  } protections[] = {{IsSet(cpu.ecx, 2), 11},   // UMIP
                     {IsSet(cpu.ebx, 7), 20},   // SMEP
                     {IsSet(cpu.ebx, 20), 21},  // SMAP
                     {IsSet(cpu.ecx, 3), 22}};  // PKE
  uint64_t cr4 = ReadCr4();
  for (const auto& protection : protections) {
    if (protection.has) cr4 |= uint64_t{1} << protection.cr4_bit;
  }
  WriteCr4(cr4);
}

}  // namespace arch
