// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/exceptions.h"

#include "kernel/arch/cpu.h"
#include "kernel/arch/exceptions.h"
#include "kernel/arch/started_cpus.h"
#include "kernel/arch/x86_64/cpus.h"
#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/segments.h"

extern "C" {
extern const uint8_t __exception_stubs[];
extern const uint8_t __interrupt_stub[];
extern uint64_t __gdt[GDT_WORDS];  ///< start.S; the last two words are the TSS descriptor
}

namespace arch {

namespace {

constexpr size_t kTssDescriptor = TSS_SELECTOR / 8;

struct Gate {
  uint16_t offset_low;
  uint16_t selector;
  uint8_t stack;  ///< number in the TSS's interrupt stack table
  uint8_t type;
  uint16_t offset_middle;
  uint32_t offset_high;
  uint32_t reserved;
};
static_assert(sizeof(Gate) == 16);

struct __attribute__((packed)) TablePointer {
  uint16_t limit;
  uint64_t base;
};

constexpr uint8_t kExceptionStack = 1;
constexpr uint8_t kNestedStack = 2;
// Of the CPU that boots.
alignas(16) uint8_t exception_stack[kExceptionStackBytes];
alignas(16) uint8_t nested_stack[kExceptionStackBytes];
TaskState task_state;

constexpr unsigned kVectors = 256;
Gate gates[kVectors];

ExceptionHandlers exception_handlers;

void PrintRegisters(PrintFunction print, const void* registers) {
  const Registers& r = *static_cast<const Registers*>(registers);
  print("  rax %016lx  rbx %016lx  rcx %016lx\n", r.rax, r.rbx, r.rcx);
  print("  rdx %016lx  rsi %016lx  rdi %016lx\n", r.rdx, r.rsi, r.rdi);
  print("  rbp %016lx  rsp %016lx  r8  %016lx\n", r.rbp, r.rsp, r.r8);
  print("  r9  %016lx  r10 %016lx  r11 %016lx\n", r.r9, r.r10, r.r11);
  print("  r12 %016lx  r13 %016lx  r14 %016lx\n", r.r12, r.r13, r.r14);
  print("  r15 %016lx  rip %016lx  rflags %08lx\n", r.r15, r.rip, r.rflags);
  print("  cr0 %016lx  cr2 %016lx  cr3 %016lx\n", ReadCr0(), r.cr2, ReadCr3());
  print("  cr4 %016lx  cs %04lx  ss %04lx  vector %lu  error code 0x%lx\n", ReadCr4(), r.cs, r.ss,
        r.vector, r.error_code);
}

void FillGate(unsigned vector) {
  const bool is_exception = vector < kExceptionVectors;
  const uint64_t stub =
      is_exception ? reinterpret_cast<uint64_t>(__exception_stubs) + vector * kExceptionStubBytes
                   : reinterpret_cast<uint64_t>(__interrupt_stub);
  constexpr uint8_t kInterruptGate = 0x8e;
  const bool nested = vector == kNmi || vector == kDoubleFault || vector == kMachineCheck;
  gates[vector] = Gate{.offset_low = static_cast<uint16_t>(stub),
                       .selector = CODE_SELECTOR,
                       .stack = nested ? kNestedStack : kExceptionStack,
                       .type = kInterruptGate,
                       .offset_middle = static_cast<uint16_t>(stub >> 16),
                       .offset_high = static_cast<uint32_t>(stub >> 32),
                       .reserved = 0};
}

void LoadInterruptTable() {
  const TablePointer pointer{sizeof(gates) - 1, reinterpret_cast<uint64_t>(gates)};
  asm volatile("lidt %0" : : "m"(pointer) : "memory");
}

}  // namespace

void UseExceptionTables(const ExceptionTables& tables) {
  TaskState& state = *tables.task_state;
  state.interrupt_stack[kExceptionStack - 1] =
      reinterpret_cast<uint64_t>(tables.exception_stack + kExceptionStackBytes);
  state.interrupt_stack[kNestedStack - 1] =
      reinterpret_cast<uint64_t>(tables.nested_stack + kExceptionStackBytes);
  state.io_map = sizeof(TaskState);
  const uint64_t base = reinterpret_cast<uint64_t>(&state);
  constexpr uint64_t kPresentAvailableTss = 0x89;
  tables.gdt[kTssDescriptor] = (sizeof(TaskState) - 1) | (base & 0xffffff) << 16 |
                               kPresentAvailableTss << 40 | (base >> 24 & 0xff) << 56;
  tables.gdt[kTssDescriptor + 1] = base >> 32;
  asm volatile("ltr %0" : : "r"(static_cast<uint16_t>(TSS_SELECTOR)) : "memory");
  LoadInterruptTable();
}

void UseBootCpuTables() { UseExceptionTables({__gdt, &task_state, exception_stack, nested_stack}); }

void HandleException(const Registers* registers) {
  if (registers->vector == kNmi && exception_handlers.is_panicking()) {
    exception_handlers.stop(registers->rip, registers->rbp);
  }
  Exception exception{.what = VectorName(registers->vector),
                      .pc = registers->rip,
                      .frame_pointer = registers->rbp,
                      .print_registers = PrintRegisters,
                      .registers = registers};
  if (registers->vector == kPageFault) {
    exception.cause = PageFaultCause(registers->error_code);
    exception.access = PageFaultAccess(registers->error_code);
    exception.has_address = true;
    exception.address = registers->cr2;
    if (IsStackGuard(registers->cr2)) exception.what = "stack overflow";
  }
  exception_handlers.panic(exception);
  Halt();
}

void InstallExceptionHandlers(const ExceptionHandlers& handlers) {
  exception_handlers = handlers;
  for (unsigned vector = 0; vector < kVectors; ++vector) FillGate(vector);
  UseBootCpuTables();
}

void WalkStack(uint64_t frame_pointer, unsigned limit, void (*visit)(uint64_t pc)) {
  // A frame is the caller's frame pointer and the return address above it.
  constexpr uint64_t kFrameBytes = 16;
  const khocore::PhysRange stack = StackAround(frame_pointer);
  if (stack.size == 0) return;
  const uint64_t end = stack.end().raw() - kFrameBytes;
  uint64_t lowest = stack.begin.raw();
  for (unsigned i = 0; i < limit; ++i) {
    if (frame_pointer < lowest || frame_pointer > end || frame_pointer % 8 != 0) return;
    const uint64_t* frame = reinterpret_cast<const uint64_t*>(frame_pointer);
    visit(frame[1]);
    lowest = frame_pointer + kFrameBytes;
    frame_pointer = frame[0];
  }
}

}  // namespace arch
