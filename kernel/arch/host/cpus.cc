// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/cpus.h"

#include <pthread.h>
#include <stdlib.h>

#include "kernel/arch/cpu.h"

namespace arch {
namespace {

/// A CPU is a thread. Their number comes from the environment, which survives execve(2).
constexpr char kVariable[] = "KHORIG_CPUS";

thread_local size_t this_cpu = 0;

struct Cpu {
  pthread_t thread;
  size_t number;
  void (*entry)(size_t number);
};
Cpu cpus[kMaxCpus];

void* RunCpu(void* argument) {
  const Cpu& cpu = *static_cast<const Cpu*>(argument);
  this_cpu = cpu.number;
  cpu.entry(cpu.number);
  return nullptr;
}

}  // namespace

size_t CpuNumber() { return this_cpu; }

size_t FindCpus(const base::BootInfo&, Note) {
  const char* text = getenv(kVariable);
  const size_t count = text == nullptr ? 1 : strtoul(text, nullptr, 10);
  return count == 0 ? 1 : count;
}

uint64_t HardwareId(size_t number) { return number; }

/// No thread survives execve(2).
bool SetCpuAside(uint64_t) { return false; }

/// A thread has its stack already.
StartResult StartCpu(const base::BootInfo&, size_t number, khocore::PhysRange,
                     void (*entry)(size_t number), Note) {
  Cpu& cpu = cpus[number];
  cpu.number = number;
  cpu.entry = entry;
  return pthread_create(&cpu.thread, nullptr, RunCpu, &cpu) == 0 ? StartResult::kStarted
                                                                 : StartResult::kImpossible;
}

void LeaveCpu() { pthread_exit(nullptr); }

bool RemoveCpu(size_t number) { return pthread_join(cpus[number].thread, nullptr) == 0; }

/// RAM is not executable here. The thread ends with this process image.
void MakeLoop(khocore::PhysAddr) {}
void EnterLoop(khocore::PhysAddr) {
  for (;;) Pause();
}

void InterruptOtherCpus() {}

}  // namespace arch
