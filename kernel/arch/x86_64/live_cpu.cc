// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/live_cpu.h"

#include <string.h>

#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/mmu.h"
#include "kernel/arch/x86_64/page_tables.h"

extern "C" const uint8_t __live_cpu_begin[], __live_cpu_end[];

namespace arch {

using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::abi::LiveCpu;
using khocore::abi::LiveCpuPage;

namespace {

// Set beforehand, so that the CPU has nothing to write to its tables.
constexpr uint64_t kAccessed = 1 << 5;
constexpr uint64_t kDirty = 1 << 6;

}  // namespace

size_t LiveCpuTables() { return PagingLevels(); }

void PrepareLiveCpu(LiveCpu* cpu) {
  uint64_t next = 0;
  const auto new_table = [&]() -> uint64_t { return cpu->tables[++next]; };
  PageTables tables(cpu->tables[0], PagingLevels(), 0);
  const uint64_t no_execute = (ReadMsr(kMsrEfer) & kEferNoExecuteEnable) != 0 ? kNoExecute : 0;
  const uint64_t window = khocore::AlignDown(cpu->text.physical, kLargePageSize);
  uint64_t slot = cpu->text.physical - window;
  const auto map = [&](LiveCpuPage& page, uint64_t rights) {
    page.virtual_address = window + slot;
    slot = (slot + kPageSize) % kLargePageSize;
    tables.Map(page.virtual_address, page.physical, kPageSize, Leaf::kPage,
               rights | kPresent | kAccessed | kDirty, new_table);
  };
  map(cpu->text, 0);
  map(cpu->stack, kWritable | no_execute);
  map(cpu->counter, kWritable | no_execute);
  map(cpu->mailbox, no_execute);
  memcpy(reinterpret_cast<void*>(cpu->text.physical), __live_cpu_begin,
         static_cast<size_t>(__live_cpu_end - __live_cpu_begin));
  SetExecutable(PhysAddr::FromRaw(cpu->text.physical), true);
}

void EnterLiveCpu(const LiveCpu& cpu) {
  // The CPU that booted has made the page executable, and written it: loading CR3 serializes, too.
  InvalidateTranslations();
  using Loop = void (*)(uint64_t counter, uint64_t mailbox, uint64_t stack_end, uint64_t root);
  reinterpret_cast<Loop>(cpu.text.virtual_address)(
      cpu.counter.virtual_address, cpu.mailbox.virtual_address,
      cpu.stack.virtual_address + kPageSize, cpu.tables[0]);
  __builtin_unreachable();
}

uint64_t LiveCpuLeaves() { return 1; }

}  // namespace arch
