// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/arch/x86_64/vectors.h"

namespace arch {

/// What exceptions_asm.S pushes, from the lowest address on.
struct Registers {
  uint64_t cr2;  ///< as it was when the exception came
  uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
  uint64_t vector;
  uint64_t error_code;  ///< 0 where the CPU pushes none
  uint64_t rip, cs, rflags, rsp, ss;
};
static_assert(sizeof(Registers) == 23 * sizeof(uint64_t));

struct __attribute__((packed)) TaskState {
  uint32_t reserved0;
  uint64_t privileged_stack[3];
  uint64_t reserved1;
  uint64_t interrupt_stack[7];  ///< number n is element n - 1
  uint64_t reserved2;
  uint16_t reserved3;
  uint16_t io_map;
};
static_assert(sizeof(TaskState) == 104);

/// Every exception gets a stack of its own, so that a smashed or exhausted kernel stack still
/// prints; those that may interrupt the handler of another get a second one.
inline constexpr size_t kExceptionStackBytes = 8 << 10;

/// What a CPU needs to take exceptions; all of it is its own.
struct ExceptionTables {
  uint64_t* gdt;  ///< as __gdt in start.S; the task state is entered behind the segments
  TaskState* task_state;
  uint8_t* exception_stack;  ///< `kExceptionStackBytes`, each
  uint8_t* nested_stack;
};
/// Lets this CPU take exceptions on its own stacks. The handlers are those of all CPUs, installed
/// by `InstallExceptionHandlers`. The GDT is loaded already.
void UseExceptionTables(const ExceptionTables& tables);

/// The same for the CPU that booted, with tables of the image.
void UseBootCpuTables();

inline constexpr size_t kExceptionStubBytes = 16;

/// Called by the stubs; ends in a panic.
extern "C" [[noreturn]] void HandleException(const Registers* registers);

}  // namespace arch
