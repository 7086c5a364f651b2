// SPDX-License-Identifier: BSD-3-Clause
#include "qemu/probe/counter.h"

// Of API version 1 alone.
extern "C" void qemu_plugin_register_vcpu_tb_exec_inline(qemu_plugin_tb* tb, qemu_plugin_op op,
                                                         void* ptr, uint64_t imm);

namespace probe {
namespace {
uint64_t count;
}  // namespace

void StartCounter() { count = 0; }

void CountInstructions(qemu_plugin_tb* tb) {
  qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &count,
                                           qemu_plugin_tb_n_insns(tb));
}

uint64_t InstructionCount() { return __atomic_load_n(&count, __ATOMIC_RELAXED); }

}  // namespace probe
