// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/cpus/cpus.h"

#include "kernel/arch/cpu.h"
#include "kernel/arch/cpus.h"
#include "kernel/arch/poll.h"
#include "kernel/base/panic.h"
#include "kernel/console/print.h"
#include "kernel/rig/event.h"

namespace cpus {
namespace {

using base::Panic;
using base::StopIfPanicking;
using console::Print;
using khocore::Order;
using khocore::PhysRange;
using memory::PageAllocator;
using rig::Event;

using Work = khocore::FunctionRef<void(size_t number)>;

constexpr Order kMemoryOrder =
    Order::FromLog2(__builtin_ctzll(arch::kCpuMemory / khocore::kPageSize));
static_assert(kMemoryOrder.bytes() == arch::kCpuMemory);
constexpr size_t kLeftCpu = 1;

/// Work for all CPUs: `round` counts the works, `done` the CPUs that have finished the current one.
/// A round without work makes the CPUs leave.
struct {
  size_t found = 1;
  size_t count = 1;
  size_t started = 1;  ///< and those that did not come online, but may execute something
  const Work* work = nullptr;
  uint32_t round = 0;
  uint32_t done = 0;
  size_t leaver = 0;          ///< the CPU that leaves for `leave` after the current work, or 0
  void (*leave)() = nullptr;  ///< does not return
  uint64_t away_id = 0;       ///< of the CPU that runs on for itself, if `has_away`
  size_t away = 0;            ///< its number, or 0
  bool has_away = false;
} shared;

struct Place {
  uint64_t pc;
  uint64_t frame_pointer;
  bool known;
};
Place stopped[arch::kMaxCpus];

void WaitForDone() {
  while (__atomic_load_n(&shared.done, __ATOMIC_ACQUIRE) != shared.count - 1) {
    StopIfPanicking();
    arch::Pause();
  }
}

void StartRound(const Work* work) {
  shared.work = work;
  __atomic_store_n(&shared.done, 0, __ATOMIC_RELAXED);
  __atomic_add_fetch(&shared.round, 1, __ATOMIC_RELEASE);
}

/// The loop of every CPU but the first.
void WaitAndWork(size_t number) {
  for (uint32_t seen = 0;;) {
    while (__atomic_load_n(&shared.round, __ATOMIC_ACQUIRE) == seen) {
      StopIfPanicking();
      arch::Pause();
    }
    ++seen;
    const Work* work = shared.work;
    void (*const leave)() = number == shared.leaver ? shared.leave : nullptr;
    if (work != nullptr) (*work)(number);
    __atomic_add_fetch(&shared.done, 1, __ATOMIC_RELEASE);
    if (leave != nullptr) leave();
    if (work == nullptr) arch::LeaveCpu();
  }
}

void PrintNote(const char* text, uint64_t value) { Print("cpus: %s 0x%lx\n", text, value); }

/// False when no further CPU can be started.
bool StartOne(const base::BootInfo& info, size_t number, PageAllocator& allocator) {
  const auto block = allocator.Allocate(kMemoryOrder);
  if (!block.ok()) {
    Print("cpus: no memory for CPU %zu\n", number);
    return false;
  }
  const PhysRange memory{block.value().address(), arch::kCpuMemory};
  switch (arch::StartCpu(info, number, memory, WaitAndWork, PrintNote)) {
    case arch::StartResult::kStarted:
      shared.started = number + 1;
      return true;
    case arch::StartResult::kImpossible:
      Print("cpus: CPU %zu cannot be started here\n", number);
      return false;
    case arch::StartResult::kNoAnswer:
      shared.started = number + 1;
      Print("cpus: CPU %zu does not start\n", number);
      return false;
    case arch::StartResult::kRunning:
      KHORIG_FAIL("cpus", "CPU %zu was left running by the last kernel", number);
      return false;
  }
  return false;
}

void ReportCpus() {
  Event event("cpus");
  event.Number("found", shared.found)
      .Number("online", shared.count)
      .Number("supported", arch::kMaxCpus)
      .Begin("ids", '[');
  for (size_t i = 0; i < shared.count; ++i) event.Item(arch::HardwareId(i));
  event.End(']');
}

}  // namespace

void StartCpus(const base::BootInfo& info, PageAllocator& allocator) {
  const size_t found = shared.found = arch::FindCpus(info, PrintNote);
  if (found == 1) return;
  if (found > arch::kMaxCpus) {
    Print("cpus: %zu of %zu are used\n", arch::kMaxCpus, found);
  }
  size_t wanted = found < arch::kMaxCpus ? found : arch::kMaxCpus;
  if (shared.has_away) {
    if (arch::SetCpuAside(shared.away_id)) {
      shared.away = --wanted;
    } else {
      KHORIG_FAIL("cpus", "there is no CPU 0x%lx to leave alone", shared.away_id);
    }
  }
  while (shared.count < wanted && StartOne(info, shared.count, allocator)) ++shared.count;
  ReportCpus();
}

size_t CpuCount() { return shared.count; }

uint64_t LastCpu() { return arch::HardwareId(shared.count - 1); }

void SendAway(void (*leave)()) {
  shared.away = shared.leaver = shared.count - 1;
  shared.leave = leave;
  RunOnAllCpus([](size_t) {});
  shared.leaver = 0;
  --shared.count;
  ReportCpus();
}

void KeepAway(uint64_t hardware_id) {
  shared.away_id = hardware_id;
  shared.has_away = true;
}

bool TakeBack(const base::BootInfo& info, PageAllocator& allocator) {
  if (shared.away != shared.count || !arch::RemoveCpu(shared.away)) return false;
  if (!StartOne(info, shared.away, allocator)) return false;
  shared.away = 0;
  ++shared.count;
  ReportCpus();
  return true;
}

void RunOnAllCpus(Work work) {
  StartRound(&work);
  work(0);
  WaitForDone();
}

void ParkCpus(void (*loop)()) {
  if (shared.started == 1) return;
  shared.leaver = loop == nullptr ? 0 : kLeftCpu;
  shared.leave = loop;
  StartRound(nullptr);
  WaitForDone();
  for (size_t i = 1; i < shared.started; ++i) {
    if (i == shared.leaver || i == shared.away) continue;
    if (!arch::RemoveCpu(i)) Panic("CPU %zu cannot be parked", i);
  }
  shared.count = 1;
}

void StopOtherCpus(void (*print)(size_t number, uint64_t pc, uint64_t frame_pointer)) {
  if (shared.count == 1) return;
  arch::InterruptOtherCpus();
  const size_t self = arch::CpuNumber();
  for (size_t i = 0; i < shared.count; ++i) {
    if (i == self) continue;
    Place& place = stopped[i];
    for (unsigned k = 0; k < arch::kMaxPolls && !__atomic_load_n(&place.known, __ATOMIC_ACQUIRE);
         ++k) {
      arch::Pause();
    }
    const bool known = __atomic_load_n(&place.known, __ATOMIC_ACQUIRE);
    print(i, known ? place.pc : 0, known ? place.frame_pointer : 0);
  }
}

void StopHere(uint64_t pc, uint64_t frame_pointer) {
  Place& place = stopped[arch::CpuNumber()];
  // CPUs that have stopped before are interrupted as well.
  if (!place.known) {
    place.pc = pc;
    place.frame_pointer = frame_pointer;
    __atomic_store_n(&place.known, true, __ATOMIC_RELEASE);
  }
  arch::Halt();
}

}  // namespace cpus
