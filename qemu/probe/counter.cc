// SPDX-License-Identifier: BSD-3-Clause
#include "qemu/probe/counter.h"

namespace probe {
namespace {
uint64_t executed;
}  // namespace

void CountInstructions(qemu_plugin_tb* tb) {
  const auto add = [](unsigned int, void* count) {
    __atomic_fetch_add(&executed, reinterpret_cast<uint64_t>(count), __ATOMIC_RELAXED);
  };
  qemu_plugin_register_vcpu_tb_exec_cb(tb, add, QEMU_PLUGIN_CB_NO_REGS,
                                       reinterpret_cast<void*>(qemu_plugin_tb_n_insns(tb)));
}

uint64_t InstructionCount() { return __atomic_load_n(&executed, __ATOMIC_RELAXED); }

}  // namespace probe
