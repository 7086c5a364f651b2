// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/jump.h"

#include <string.h>

#include "kernel/arch/arm64/jump_plan.h"
#include "kernel/arch/arm64/mmu.h"
#include "kernel/base/direct_map.h"
#include "kernel/base/panic.h"

extern "C" {
extern char relocate_begin[], relocate_end[];
}

namespace arch {

using base::Direct;
using khocore::kPageSize;
using khocore::PageFrame;
using khocore::PageSource;
using khocore::PhysAddr;
using khocore::PhysicalMemory;
using khocore::PhysRange;
using khocore::Result;
using khocore::Span;

namespace {

/// The three pages: plan, code and root table.
constexpr unsigned kControlPages = 3;

PhysRange PageAt(PhysAddr address) { return {address, kPageSize}; }

}  // namespace

Result<JumpPlan> PrepareJump(Span<const Segment> segments, PhysAddr entry, PhysAddr parameters,
                             const PhysicalMemory& ram, PageSource& pages) {
  PageFrame frames[kControlPages];
  for (unsigned i = 0; i < kControlPages; ++i) {
    const Result<PageFrame> page = pages.AllocatePage();
    if (!page.ok()) return page.error();
    frames[i] = page.value();
  }
  const PhysAddr control = frames[0].address();
  const PhysAddr code = frames[1].address();
  const PhysAddr table = frames[2].address();
  memcpy(Direct<char>(code), relocate_begin, static_cast<size_t>(relocate_end - relocate_begin));
  auto* const plan = Direct<Plan>(control);
  plan->table = table.raw();
  plan->code = code.raw();
  FillPlan(segments, entry, parameters, plan);
  const auto take = [&pages]() -> uint64_t* {
    const Result<PageFrame> page = pages.AllocatePage();
    return page.ok() ? Direct<uint64_t>(page.value().address()) : nullptr;
  };
  KHOCORE_RETURN_IF_ERROR(FillTransitionTable(RunningMap(), ram, Direct<uint64_t>(table), take));
  return JumpPlan{.control = control,
                  .tables = table,
                  .levels = kLevels,
                  .format = RunningMap().regime == Regime::kEl1 ? "arm64 EL1" : "arm64 EL2",
                  .pages = {{"plan", "r", control}, {"code", "rx", code}},
                  .page_count = 2};
}

void Jump(const JumpPlan& plan) {
  const PhysAddr code = PhysAddr::FromRaw(Direct<Plan>(plan.control)->code);
  const PhysAddr table = PhysAddr::FromRaw(Direct<Plan>(plan.control)->table);
  asm volatile("msr daifset, #0xf" ::: "memory");
  // The code runs with the MMU off for a moment and is fetched from memory then.
  CleanToMemory(PageAt(plan.control));
  CleanToMemory(PageAt(code));
  CleanToMemory(PageAt(table));
  asm volatile("ic iallu; dsb sy; isb" ::: "memory");
  KHORIG_CHECK(RunningMap().MakeExecutable(code));
  using Relocate = void (*)(uint64_t plan);
  reinterpret_cast<Relocate>(code.raw() + RELOCATE_ENTRY)(plan.control.raw());
  __builtin_unreachable();
}

}  // namespace arch
