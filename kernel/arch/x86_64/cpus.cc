// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/cpus.h"

#include <stddef.h>
#include <string.h>

#include "kernel/arch/cpu.h"
#include "kernel/arch/cpu_stacks.h"
#include "kernel/arch/cpus.h"
#include "kernel/arch/mmu.h"
#include "kernel/arch/started_cpus.h"
#include "kernel/arch/x86_64/acpi.h"
#include "kernel/arch/x86_64/exceptions.h"
#include "kernel/arch/x86_64/image_layout.h"
#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/local_apic.h"
#include "kernel/arch/x86_64/mmu.h"
#include "kernel/arch/x86_64/page_tables.h"
#include "kernel/arch/x86_64/segments.h"
#include "kernel/arch/x86_64/start.h"
#include "kernel/arch/x86_64/trampoline.h"

extern "C" uint64_t __gdt[GDT_WORDS];  ///< start.S

namespace arch {

using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;

namespace {

/// What a started CPU has for itself, at the end of its memory. FS points to it: the number is
/// read at %fs:0, and Debian's libfdt.a reads its stack protector's canary at %fs:0x28.
struct CpuLocal {
  uint64_t number;
  uint64_t unused[4];
  uint64_t canary;
  uint64_t gdt[GDT_WORDS];
  TaskState task_state;
  uint8_t* exception_stack;
  uint8_t* nested_stack;
  void (*entry)(size_t number);
};
static_assert(offsetof(CpuLocal, canary) == 0x28);
static_assert(kCpuStackBytes + 2 * kExceptionStackBytes + sizeof(CpuLocal) <= kCpuMemory);

struct {
  uint8_t booted = 0;  ///< initial APIC ID of the CPU that booted
  Processors processors;
  LocalApic apic;
  Trampoline trampoline;
  StartedCpus started;
} smp;

bool SetUp(const base::BootInfo& info, Note note) {
  if (smp.trampoline.data != nullptr) return true;
  if (!smp.apic.Open()) {
    note("other CPUs: no APIC in xAPIC mode", 0);
    return false;
  }
  smp.trampoline = WriteTrampoline(info, PagingLevels(), ReadCr3(), ReadCr4());
  if (smp.trampoline.data == nullptr) {
    note("other CPUs: no room to start them below", kFirstUsable);
    return false;
  }
  smp.trampoline.data->target = reinterpret_cast<uint64_t>(__started);
  return true;
}

/// Where the CPU `number`, as the kernel counts, is in the list: the booting one is number 0
/// wherever it stands.
uint8_t ApicIdOf(size_t number) {
  const uint8_t booted = smp.booted;
  if (number == 0) return booted;
  size_t at = 0;
  for (size_t i = 0; i < smp.processors.count; ++i) {
    if (smp.processors.apic_ids[i] != booted && ++at == number) return smp.processors.apic_ids[i];
  }
  return booted;
}

CpuLocal* PrepareLocal(size_t number, PhysRange memory, void (*entry)(size_t number)) {
  auto* const bytes = reinterpret_cast<uint8_t*>(memory.begin.raw());
  uint8_t* const exception_stack = bytes + kCpuStackBytes;
  uint8_t* const nested_stack = exception_stack + kExceptionStackBytes;
  auto* const local = reinterpret_cast<CpuLocal*>(nested_stack + kExceptionStackBytes);
  memset(local, 0, sizeof(*local));
  local->number = number;
  memcpy(local->gdt, __gdt, TSS_SELECTOR);
  local->exception_stack = exception_stack;
  local->nested_stack = nested_stack;
  local->entry = entry;
  return local;
}

}  // namespace

extern "C" [[noreturn]] void EnterStartedCpu(CpuLocal* local) {
  struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
  } const gdt{sizeof(local->gdt) - 1, reinterpret_cast<uint64_t>(local->gdt)};
  asm volatile("lgdt %0" : : "m"(gdt) : "memory");
  WriteMsr(kMsrFsBase, reinterpret_cast<uint64_t>(local));
  UseExceptionTables({local->gdt, &local->task_state, local->exception_stack, local->nested_stack});
  if (!smp.started.MarkOnline(local->number)) LeaveCpu();
  local->entry(local->number);
  Halt();
}

size_t CpuNumber() {
  uint64_t number;
  asm volatile("mov %%fs:0, %0" : "=r"(number));
  return number;
}

size_t FindCpus(const base::BootInfo& info, Note note) {
  smp.booted = static_cast<uint8_t>(Cpuid(1).ebx >> 24);
  const auto map = [](PhysRange range) { return FindFirmwareBytes(range); };
  smp.processors = ReadProcessors(info.rsdp, base::BootReader(map, note));
  return smp.processors.found == 0 ? 1 : smp.processors.found;
}

bool SetCpuAside(uint64_t hardware_id) {
  uint8_t* const ids = smp.processors.apic_ids;
  for (size_t i = 0; i < smp.processors.count; ++i) {
    if (ids[i] != hardware_id || ids[i] == ApicIdOf(0)) continue;
    memmove(ids + i, ids + i + 1, smp.processors.count - i - 1);
    ids[smp.processors.count - 1] = static_cast<uint8_t>(hardware_id);
    return smp.apic.Open();
  }
  return false;
}

StartResult StartCpu(const base::BootInfo& info, size_t number, PhysRange memory,
                     void (*entry)(size_t number), Note note) {
  // Intel's manual waits 10 ms after INIT for CPUs of the last century; newer ones need little.
  constexpr uint64_t kInitWait = 10'000, kFirstWait = 1'000'000, kSecondWait = 2'000'000'000;
  if (number >= smp.processors.count || !SetUp(info, note)) return StartResult::kImpossible;
  const CpuLocal* local = PrepareLocal(number, memory, entry);
  const PhysRange stack = CpuStack(kImageBase, number);
  MapCpuStack(number, memory.begin);
  smp.started.SetStack(number, stack);
  smp.trampoline.data->cpu = reinterpret_cast<uint64_t>(local);
  smp.trampoline.data->stack = stack.end().raw();
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  const uint8_t id = ApicIdOf(number);
  const auto page = static_cast<uint8_t>(smp.trampoline.place.begin.raw() / kPageSize);
  smp.apic.Init(id);
  smp.started.Await(number, kInitWait);
  smp.apic.Startup(id, page);
  if (smp.started.Await(number, kFirstWait)) return StartResult::kStarted;
  smp.apic.Startup(id, page);
  if (smp.started.Await(number, kSecondWait) || !smp.started.Abandon(number)) {
    return StartResult::kStarted;
  }
  smp.apic.Init(id);
  return StartResult::kNoAnswer;
}

uint64_t HardwareId(size_t number) { return smp.processors.count == 0 ? 0 : ApicIdOf(number); }

/// Runs until `RemoveCpu`: QEMU 7.2 leaves an INIT pending on a CPU that has halted, so that nobody
/// could tell from outside that it came.
void LeaveCpu() {
  for (;;) Pause();
}

bool RemoveCpu(size_t number) {
  // Now it waits for its next start and executes nothing, wherever its last instruction was.
  smp.apic.Init(ApicIdOf(number));
  Pause();  // an emulator that runs one CPU at a time now runs the other
  return true;
}

void MakeLoop(PhysAddr page) {
  constexpr uint8_t kPauseAndJumpBack[] = {0xf3, 0x90, 0xeb, 0xfc};
  memcpy(reinterpret_cast<void*>(page.raw()), kPauseAndJumpBack, sizeof(kPauseAndJumpBack));
  SetExecutable(page, true);
}

void EnterLoop(PhysAddr page) {
  // Another CPU has allowed to execute it, and written it: loading CR3 serializes, too.
  InvalidateTranslations();
  reinterpret_cast<void (*)()>(page.raw())();
  __builtin_unreachable();
}

/// One by one: a CPU that runs on for itself has no handler.
void InterruptOtherCpus() {
  if (smp.trampoline.data == nullptr) return;
  const size_t self = CpuNumber();
  for (size_t i = 0; i < kMaxCpus; ++i) {
    if (i != self && (i == 0 || smp.started.IsOnline(i))) smp.apic.Nmi(ApicIdOf(i));
  }
}

PhysRange StackAround(uint64_t address) { return smp.started.StackAround(address); }

}  // namespace arch
