// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/jump.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernel/arch/host/machine.h"
#include "kernel/base/panic.h"

namespace {

/// What the jump does, in a control page as on a real machine: the copy must not overwrite it.
struct Control {
  static constexpr size_t kMaxSegments = 8;
  arch::Segment segments[kMaxSegments];
  size_t count;
  uint64_t parameters;
};
static_assert(sizeof(Control) <= khocore::kPageSize);

const char* program = nullptr;

}  // namespace

void host::SetProgram(const char* path) { program = path; }

namespace arch {

khocore::Result<JumpPlan> PrepareJump(khocore::Span<const Segment> segments, khocore::PhysAddr,
                                      khocore::PhysAddr parameters, const khocore::PhysicalMemory&,
                                      khocore::PageSource& pages) {
  KHORIG_CHECK(segments.size <= Control::kMaxSegments);
  const auto page = pages.AllocatePage();
  if (!page.ok()) return page.error();
  auto* control = reinterpret_cast<Control*>(page.value().address().raw());
  control->count = segments.size;
  control->parameters = parameters.raw();
  for (size_t i = 0; i < segments.size; ++i) control->segments[i] = segments[i];
  return JumpPlan{.control = page.value().address(), .tables = {}};
}

void Jump(const JumpPlan& plan) {
  const auto* control = reinterpret_cast<const Control*>(plan.control.raw());
  for (size_t i = 0; i < control->count; ++i) {
    const Segment& segment = control->segments[i];
    auto* destination = reinterpret_cast<uint8_t*>(segment.destination.begin.raw());
    memcpy(destination, reinterpret_cast<const void*>(segment.source.raw()), segment.bytes);
    memset(destination + segment.bytes, 0,
           khocore::AlignUp(segment.bytes, khocore::kPageSize) - segment.bytes);
  }
  char address[32];
  snprintf(address, sizeof(address), "0x%llx",
           static_cast<unsigned long long>(control->parameters));
  execl(program, program, address, nullptr);
  base::Panic("execve of %s failed", program);
}

}  // namespace arch
