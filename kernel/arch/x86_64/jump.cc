// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/jump.h"

#include <string.h>

#include "kernel/arch/x86_64/identity_map.h"
#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/mmu.h"
#include "kernel/arch/x86_64/relocate.h"
#include "kernel/base/direct_map.h"
#include "kernel/base/panic.h"

namespace arch {

using base::Direct;
using khocore::kPageSize;
using khocore::PageSource;
using khocore::PhysAddr;
using khocore::PhysicalMemory;
using khocore::Result;
using khocore::Span;

namespace {

/// Room above the stack pointer, for a next kernel that looks for a return address.
constexpr uint64_t kAboveStack = 64;

/// What a plan needs beside its page tables, a page each.
struct ControlPages {
  PhysAddr code;
  PhysAddr copies;
  PhysAddr stack;
};

Result<ControlPages> TakeControlPages(PageSource& pages) {
  ControlPages taken;
  PhysAddr* const wanted[] = {&taken.code, &taken.copies, &taken.stack};
  for (PhysAddr* page : wanted) {
    const Result<khocore::PageFrame> frame = pages.AllocatePage();
    if (!frame.ok()) return frame.error();
    *page = frame.value().address();
  }
  return taken;
}

}  // namespace

Result<JumpPlan> PrepareJump(Span<const Segment> segments, PhysAddr entry, PhysAddr parameters,
                             const PhysicalMemory& ram, PageSource& pages) {
  const Result<ControlPages> taken = TakeControlPages(pages);
  if (!taken.ok()) return taken.error();
  const ControlPages& control = taken.value();

  const Result<PhysAddr> tables = BuildIdentityMap(PagingLevels(), HasHugePages(), ram, pages);
  if (!tables.ok()) return tables.error();

  const size_t code_bytes = static_cast<size_t>(__relocator_end - __relocator_begin);
  KHORIG_CHECK(code_bytes <= kPageSize);
  auto* code = Direct<uint8_t>(control.code);
  memcpy(code, __relocator_begin, code_bytes);
  FillCopies(segments, Direct<RelocatorCopy>(control.copies));
  const RelocatorData data{
      .gdt = (control.code + static_cast<uint64_t>(__relocator_gdt - __relocator_begin)).raw(),
      .page_tables = tables.value().raw(),
      .stack = (control.stack + (kPageSize - kAboveStack)).raw(),
      .copies = control.copies.raw(),
      .copy_count = segments.size,
      .entry = entry.raw(),
      .parameters = parameters.raw()};
  memcpy(code + (__relocator_data - __relocator_begin), &data, sizeof(data));
  return JumpPlan{.control = control.code,
                  .tables = tables.value(),
                  .levels = PagingLevels(),
                  .format = "x86_64",
                  .pages = {{"code", "rx", control.code},
                            {"list of copies", "r", control.copies},
                            {"stack", "rw", control.stack}},
                  .page_count = 3};
}

void Jump(const JumpPlan& plan) {
  SetExecutable(plan.control, true);
  reinterpret_cast<void (*)()>(plan.control.raw())();
  __builtin_unreachable();
}

}  // namespace arch
