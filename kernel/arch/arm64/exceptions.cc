// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/exceptions.h"

#include "kernel/arch/arm64/cpus.h"
#include "kernel/arch/arm64/esr.h"
#include "kernel/arch/arm64/exception_frame.h"
#include "kernel/arch/arm64/exit.h"
#include "kernel/arch/arm64/gic.h"
#include "kernel/arch/arm64/registers.h"
#include "kernel/arch/cpu.h"
#include "kernel/arch/started_cpus.h"

extern "C" {
extern char exception_vectors[];
}

namespace arch {
namespace {

constexpr uint64_t kInterruptVector = 1;
constexpr const char* kKinds[4] = {"synchronous", "irq", "fiq", "serror"};
constexpr const char* kOrigins[4] = {"", " within an exception", " from the level below",
                                     " from the level below, 32-bit"};

ExceptionHandlers exception_handlers;

void PrintRegisters(PrintFunction print, const void* registers) {
  const auto& frame = *static_cast<const ExceptionFrame*>(registers);
  for (unsigned i = 0; i < 31; ++i) {
    print("%sx%u%s%016lx%s", i < 10 ? " " : "", i, " ", frame.x[i], i % 4 == 3 ? "\n" : "  ");
  }
  print(" sp %016lx\n elr %016lx  spsr %08lx  EL%u\n", frame.sp, frame.elr, frame.spsr,
        AtEl2() ? 2 : 1);
  print(" esr %08lx (%s", frame.esr, ClassName(frame.esr));
  if (IsAbort(frame.esr)) {
    int level;
    const char* const fault = FaultName(frame.esr, &level);
    print(", %s", fault);
    if (level >= 0) print(" level %d", level);
    print(", %s", AccessName(frame.esr));
  }
  print(")  far %016lx\n", frame.far);
}

}  // namespace

extern "C" [[noreturn]] void HandleException(const ExceptionFrame* frame) {
  ContinueExit();
  if (frame->vector == kInterruptVector && exception_handlers.is_panicking()) {
    AcknowledgePanicSgi();
    exception_handlers.stop(frame->elr, frame->x[29]);
  }
  const bool synchronous = frame->vector % 4 == 0;
  Exception exception{.what = synchronous ? ClassName(frame->esr) : kKinds[frame->vector % 4],
                      .origin = kOrigins[frame->vector / 4],
                      .pc = frame->elr,
                      .frame_pointer = frame->x[29],
                      .print_registers = PrintRegisters,
                      .registers = frame};
  if (synchronous && IsAbort(frame->esr)) {
    int level;
    exception.cause = FaultName(frame->esr, &level);
    exception.access = AccessName(frame->esr);
    exception.has_address = true;
    exception.address = frame->far;
    if (IsStackGuard(frame->far)) exception.what = "stack overflow";
  }
  exception_handlers.panic(exception);
  Halt();
}

void InstallExceptionHandlers(const ExceptionHandlers& handlers) {
  exception_handlers = handlers;
  const auto vectors = reinterpret_cast<uint64_t>(exception_vectors);
  if (AtEl2()) {
    KHORIG_WRITE_REGISTER(vbar_el2, vectors);
  } else {
    KHORIG_WRITE_REGISTER(vbar_el1, vectors);
  }
  InstructionBarrier();
  UnmaskSystemErrors();
}

void WalkStack(uint64_t frame_pointer, unsigned limit, void (*visit)(uint64_t pc)) {
  const khocore::PhysRange stack = StackAround(frame_pointer);
  if (stack.size == 0) return;
  const uint64_t begin = stack.begin.raw();
  const uint64_t end = stack.end().raw();
  struct FrameRecord {
    uint64_t caller;
    uint64_t return_address;
  };
  for (unsigned i = 0; i < limit; ++i) {
    if (frame_pointer % alignof(FrameRecord) != 0 || frame_pointer < begin ||
        frame_pointer > end - sizeof(FrameRecord)) {
      return;
    }
    const auto& record = *reinterpret_cast<const FrameRecord*>(frame_pointer);
    if (record.return_address == 0) return;
    visit(record.return_address);
    if (record.caller <= frame_pointer) return;
    frame_pointer = record.caller;
  }
}

}  // namespace arch
