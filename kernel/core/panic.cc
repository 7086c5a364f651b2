// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/core/panic.h"

#include <stdarg.h>

#include "kernel/arch/arch.h"
#include "kernel/core/event.h"
#include "kernel/core/print.h"
#include "kernel/core/symbols.h"

namespace core {
namespace {

constexpr unsigned kMaxFrames = 24;
bool in_panic = false;

void PrintFrame(uint64_t pc) {
  uint64_t offset = 0;
  const char* name = FindSymbol(pc, &offset);
  PrintConsole("  %016lx %s+0x%lx\n", pc, name != nullptr ? name : "?", offset);
}

void EnterPanic() {
  if (in_panic) arch::Halt();
  in_panic = true;
}

}  // namespace

void Panic(const char* format, ...) {
  EnterPanic();
  char text[256];
  struct Bounded {
    char* at;
    char* end;
  } bounded{text, text + sizeof(text) - 1};
  const Sink put = [](void* context, char byte) {
    auto* target = static_cast<Bounded*>(context);
    if (target->at < target->end) *target->at++ = byte;
  };
  va_list arguments;
  va_start(arguments, format);
  Format(put, &bounded, format, arguments);
  va_end(arguments);
  *bounded.at = '\0';
  Event("panic").Text("text", text);
  PrintConsole("backtrace:\n");
  arch::WalkStack(reinterpret_cast<uint64_t>(__builtin_frame_address(0)), kMaxFrames, PrintFrame);
  arch::Exit(arch::ExitStatus::kPanic);
}

void PanicFromException(const char* what, uint64_t pc, uint64_t frame_pointer,
                        void (*print_registers)(const void* registers), const void* registers) {
  EnterPanic();
  uint64_t offset = 0;
  const char* name = FindSymbol(pc, &offset);
  char text[192];
  FormatTo(text, sizeof(text), "%s at %s+0x%lx", what, name != nullptr ? name : "?", offset);
  Event("panic").Text("text", text).Hex("pc", pc);
  print_registers(registers);
  PrintConsole("backtrace:\n");
  PrintFrame(pc);
  arch::WalkStack(frame_pointer, kMaxFrames, PrintFrame);
  arch::Exit(arch::ExitStatus::kPanic);
}

}  // namespace core
