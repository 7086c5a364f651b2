// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/cpus.h"

#include <stddef.h>
#include <string.h>

#include "kernel/arch/arm64/cpu_local.h"
#include "kernel/arch/arm64/gic.h"
#include "kernel/arch/arm64/image_base.h"
#include "kernel/arch/arm64/machine.h"
#include "kernel/arch/arm64/mmu.h"
#include "kernel/arch/arm64/psci.h"
#include "kernel/arch/arm64/registers.h"
#include "kernel/arch/cpu.h"
#include "kernel/arch/cpu_stacks.h"
#include "kernel/arch/cpus.h"
#include "kernel/arch/mmu.h"
#include "kernel/arch/poll.h"
#include "kernel/arch/started_cpus.h"
#include "kernel/base/panic.h"

extern "C" {
extern char exception_vectors[], secondary_entry[], __image_begin[];
}

namespace arch {

using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;

namespace {

// The memory of a CPU, from the lowest address on: stack, exception stack, the page of its
// CpuLocal, and the tables it starts on.
constexpr uint64_t kLocalOffset =
    khocore::AlignUp(kCpuStackBytes + EXCEPTION_STACK_BYTES, kPageSize);
constexpr uint64_t kLocalBytes = (1 + kStartTables) * kPageSize;
static_assert(kLocalOffset + kLocalBytes <= kCpuMemory);
static_assert(kMaxCpus == Machine::kMaxCpus);

constexpr uint64_t kAffinity = 0xff00ffffff;  ///< of MPIDR_EL1

struct {
  uint64_t ids[kMaxCpus] = {};  ///< the CPU that booted first
  size_t count = 1;
  StartedCpus started;
  bool interruptible = false;
} smp;

/// The CPU that booted needs it only when there is another one.
void PrepareToBeStopped() {
  if (smp.interruptible) return;
  smp.interruptible = true;
  OpenGic(this_machine);
  EnablePanicSgi();
}

/// Null when the tables to start on cannot be made.
CpuLocal* PrepareLocal(const base::BootInfo& info, size_t number, PhysRange memory,
                       void (*entry)(size_t number)) {
  const PhysAddr exception_stack = memory.begin + kCpuStackBytes + EXCEPTION_STACK_BYTES;
  const PhysAddr place = memory.begin + kLocalOffset;
  auto* const local = reinterpret_cast<CpuLocal*>(place.raw());
  memset(local, 0, kLocalBytes);
  PhysAddr table = place + kPageSize;
  const PhysAddr root = table;
  const auto take = [&table]() {
    table = table + kPageSize;
    return reinterpret_cast<uint64_t*>(table.raw());
  };
  auto* const entries = reinterpret_cast<uint64_t*>(root.raw());
  if (!FillStartTable(RunningMap(), info.image, memory, entries, take).ok()) return nullptr;
  *local = {.number = number,
            .exception_stack = exception_stack.raw(),
            .stack = CpuStack(kImageBase, number).end().raw(),
            .start_table = root.raw(),
            .table = reinterpret_cast<uint64_t>(&RunningMap().root),
            .vectors = reinterpret_cast<uint64_t>(exception_vectors),
            .entry = entry};
  CleanToMemory({place, kLocalBytes});
  return local;
}

}  // namespace

/// Called by secondary.S.
extern "C" [[noreturn]] void EnterStartedCpu(CpuLocal* local) {
  if (!smp.started.MarkOnline(local->number)) LeaveCpu();
  UnmaskSystemErrors();
  EnablePanicSgi();
  local->entry(local->number);
  Halt();
}

size_t CpuNumber() {
  const auto* local = reinterpret_cast<const CpuLocal*>(KHORIG_READ_REGISTER(tpidr_el1));
  return local == nullptr ? 0 : local->number;
}

size_t FindCpus(const base::BootInfo&, Note) {
  const Machine& machine = this_machine;
  smp.ids[0] = KHORIG_READ_REGISTER(mpidr_el1) & kAffinity;
  const size_t kept = machine.cpu_count < kMaxCpus ? machine.cpu_count : kMaxCpus;
  for (size_t i = 0; i < kept && smp.count < kMaxCpus; ++i) {
    if (machine.cpus[i] != smp.ids[0]) smp.ids[smp.count++] = machine.cpus[i];
  }
  return machine.cpu_count == 0 ? 1 : machine.cpu_count;
}

uint64_t HardwareId(size_t number) { return smp.ids[number]; }

bool SetCpuAside(uint64_t hardware_id) {
  for (size_t i = 1; i < smp.count; ++i) {
    if (smp.ids[i] != hardware_id) continue;
    memmove(smp.ids + i, smp.ids + i + 1, (smp.count - i - 1) * sizeof(smp.ids[0]));
    smp.ids[smp.count - 1] = hardware_id;
    return true;
  }
  return false;
}

StartResult StartCpu(const base::BootInfo& info, size_t number, PhysRange memory,
                     void (*entry)(size_t number), Note) {
  if (this_machine.psci == Machine::Psci::kNone || number >= smp.count) {
    return StartResult::kImpossible;
  }
  PrepareToBeStopped();
  const CpuLocal* local = PrepareLocal(info, number, memory, entry);
  if (local == nullptr) return StartResult::kImpossible;
  RunningMap().MapCpuStack(number, memory.begin);
  smp.started.SetStack(number, CpuStack(kImageBase, number));
  const uint64_t offset = static_cast<uint64_t>(secondary_entry - __image_begin);
  const uint64_t result = CallPsci(kPsciCpuOn, smp.ids[number], (info.image.begin + offset).raw(),
                                   reinterpret_cast<uint64_t>(local));
  if (result == kPsciAlreadyOn) return StartResult::kRunning;
  if (result != kPsciSuccess) return StartResult::kImpossible;
  constexpr uint64_t kTimeoutNs = 2'000'000'000;
  const bool started = smp.started.Await(number, kTimeoutNs) || !smp.started.Abandon(number);
  return started ? StartResult::kStarted : StartResult::kNoAnswer;
}

void LeaveCpu() {
  DisablePanicSgi();
  CallPsci(kPsciCpuOff);
  Halt();
}

bool RemoveCpu(size_t number) {
  for (unsigned i = 0; i < kMaxPolls; ++i) {
    if (CallPsci(kPsciAffinityInfo, smp.ids[number]) == kPsciOff) return true;
    Pause();
  }
  return false;
}

void MakeLoop(PhysAddr page) {
  constexpr uint32_t kYieldAndBranchBack[] = {0xd503203f, 0x17ffffff};
  memcpy(reinterpret_cast<void*>(page.raw()), kYieldAndBranchBack, sizeof(kYieldAndBranchBack));
  CleanToMemory({page, sizeof(kYieldAndBranchBack)});
  asm volatile("ic ialluis; dsb sy; isb" ::: "memory");
  KHORIG_CHECK(RunningMap().MakeExecutable(page));
}

void EnterLoop(PhysAddr page) {
  // Another CPU wrote the code; what this one has fetched of the page is dropped.
  InstructionBarrier();
  reinterpret_cast<void (*)()>(page.raw())();
  __builtin_unreachable();
}

void InterruptOtherCpus() { SendPanicSgi(); }

PhysRange StackAround(uint64_t address) { return smp.started.StackAround(address); }

}  // namespace arch
