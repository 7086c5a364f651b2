// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/exceptions.h"

#include <stddef.h>

#include "kernel/arch/arm64/cpus.h"
#include "kernel/arch/arm64/exit.h"
#include "kernel/arch/arm64/gic.h"
#include "kernel/arch/arm64/registers.h"
#include "kernel/arch/cpu.h"

extern "C" {
extern char exception_vectors[];
}

namespace arch {
namespace {

/// Written by exceptions_asm.S.
struct ExceptionFrame {
  uint64_t x[31];
  uint64_t sp;
  uint64_t elr;
  uint64_t spsr;
  uint64_t esr;
  uint64_t far;
  uint64_t vector;  ///< 0 to 15, in the order of the vector table
  uint64_t reserved;
};
static_assert(sizeof(ExceptionFrame) == 304);
static_assert(offsetof(ExceptionFrame, vector) == 288);

constexpr uint64_t kInterruptVector = 1;
constexpr const char* kKinds[4] = {"synchronous", "irq", "fiq", "serror"};
constexpr const char* kOrigins[4] = {"", " within an exception", " from the level below",
                                     " from the level below, 32-bit"};

// Exception classes and fault status codes: Arm ARM (DDI 0487), ESR_EL1.
constexpr uint64_t kClassInstructionAbort = 0x20;
constexpr uint64_t kClassDataAbort = 0x24;
constexpr uint64_t kWrite = 1 << 6;

uint64_t ClassOf(uint64_t esr) { return esr >> 26 & 0x3f; }
bool IsAbort(uint64_t esr) {
  return (ClassOf(esr) & ~uint64_t{1}) == kClassInstructionAbort ||
         (ClassOf(esr) & ~uint64_t{1}) == kClassDataAbort;
}
bool IsDataAbort(uint64_t esr) { return (ClassOf(esr) & ~uint64_t{1}) == kClassDataAbort; }

const char* ClassName(uint64_t esr) {
  switch (ClassOf(esr)) {
    case 0x00:
      return "undefined instruction";
    case 0x01:
      return "trapped wfi or wfe";
    case 0x07:
      return "trapped floating point";
    case 0x0d:
      return "branch target";
    case 0x0e:
      return "illegal execution state";
    case 0x15:
      return "svc";
    case 0x16:
      return "hvc";
    case 0x17:
      return "smc";
    case 0x18:
      return "trapped system register";
    case 0x20:
    case 0x21:
      return "instruction abort";
    case 0x22:
      return "pc alignment";
    case 0x24:
    case 0x25:
      return "data abort";
    case 0x26:
      return "sp alignment";
    case 0x2f:
      return "serror";
    case 0x30:
    case 0x31:
      return "breakpoint";
    case 0x3c:
      return "brk";
    default:
      return "unknown class";
  }
}

/// The fault of an abort; `*level` is set for those that have one, else -1.
const char* FaultName(uint64_t esr, int* level) {
  const uint64_t code = esr & 0x3f;
  *level = code < 0x10 || (code >= 0x14 && code < 0x18) ? static_cast<int>(code & 3) : -1;
  switch (code >> 2) {
    case 0x00 >> 2:
      return "address size";
    case 0x04 >> 2:
      return "translation";
    case 0x08 >> 2:
      return "access flag";
    case 0x0c >> 2:
      return "permission";
    case 0x14 >> 2:
      return "external abort on a table walk";
    default:
      break;
  }
  return code == 0x10 ? "external abort" : code == 0x21 ? "alignment" : "other fault";
}

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
    if (IsDataAbort(frame.esr)) {
      print((frame.esr & kWrite) != 0 ? ", write" : ", read");
    }
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
    exception.has_address = true;
    exception.address = frame->far;
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
