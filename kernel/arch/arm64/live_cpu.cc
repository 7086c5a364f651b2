// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/live_cpu.h"

#include <string.h>

#include "kernel/arch/arm64/gic.h"
#include "kernel/arch/arm64/live_cpu_code.h"
#include "kernel/arch/arm64/machine.h"
#include "kernel/arch/arm64/mmu.h"
#include "kernel/arch/arm64/psci.h"
#include "kernel/arch/arm64/registers.h"
#include "kernel/base/panic.h"

extern "C" {
extern char live_cpu_begin[], live_cpu_end[];
}

namespace arch {

using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::abi::LiveCpu;
using khocore::abi::LiveCpuPage;

static_assert(LIVE_CPU_OFF == kPsciCpuOff);

namespace {

static_assert(kLevels <= LiveCpu::kMaxTables);

uint64_t* Entry(uint64_t table, uint64_t virtual_address, unsigned level) {
  return reinterpret_cast<uint64_t*>(table) + IndexAt(level, virtual_address);
}

}  // namespace

size_t LiveCpuTables() { return kLevels; }

void PrepareLiveCpu(LiveCpu* cpu) {
  const Regime regime = RunningMap().regime;
  for (unsigned level = 0; level < kLastLevel; ++level) {
    *Entry(cpu->tables[level], cpu->text.physical, level) = cpu->tables[level + 1] | kTable;
  }
  const uint64_t window = khocore::AlignDown(cpu->text.physical, kTableSpan);
  uint64_t slot = cpu->text.physical - window;
  const auto map = [&](LiveCpuPage& page, Rights rights) {
    page.virtual_address = window + slot;
    slot = (slot + kPageSize) % kTableSpan;
    *Entry(cpu->tables[kLastLevel], page.virtual_address, kLastLevel) =
        page.physical | Attributes(regime, kNormal, rights) | kPage;
  };
  map(cpu->text, Rights::kReadExecute);
  map(cpu->stack, Rights::kReadWrite);
  map(cpu->counter, Rights::kReadWrite);
  map(cpu->mailbox, Rights::kRead);
  memcpy(reinterpret_cast<void*>(cpu->text.physical), live_cpu_begin,
         static_cast<size_t>(live_cpu_end - live_cpu_begin));
  // The CPU runs with the MMU off for a moment and fetches from memory then.
  CleanToMemory({PhysAddr::FromRaw(cpu->text.physical), kPageSize});
  for (unsigned level = 0; level < kLevels; ++level) {
    CleanToMemory({PhysAddr::FromRaw(cpu->tables[level]), kPageSize});
  }
  asm volatile("ic ialluis; dsb sy; isb" ::: "memory");
  KHORIG_CHECK(RunningMap().MakeExecutable(PhysAddr::FromRaw(cpu->text.physical)));
}

void EnterLiveCpu(const LiveCpu& cpu) {
  DisablePanicSgi();
  // Another CPU wrote the code; what this one has fetched of the page is dropped.
  InstructionBarrier();
  using Loop = void (*)(uint64_t counter, uint64_t mailbox, uint64_t stack_end, uint64_t root,
                        uint64_t vectors);
  reinterpret_cast<Loop>(cpu.text.virtual_address + LIVE_CPU_ENTRY)(
      cpu.counter.virtual_address, cpu.mailbox.virtual_address,
      cpu.stack.virtual_address + kPageSize, cpu.tables[0], cpu.text.virtual_address);
  __builtin_unreachable();
}

uint64_t LiveCpuLeaves() {
  return this_machine.psci == Machine::Psci::kSmc ? LIVE_CPU_LEAVES_BY_SMC : LIVE_CPU_LEAVES_BY_HVC;
}

}  // namespace arch
