// SPDX-License-Identifier: BSD-3-Clause
#include "qemu/probe/counter.h"

// Since API version 2.
extern "C" {
struct qemu_plugin_scoreboard;
struct qemu_plugin_u64 {
  qemu_plugin_scoreboard* score;
  size_t offset;
};
qemu_plugin_scoreboard* qemu_plugin_scoreboard_new(size_t element_size);
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(qemu_plugin_tb* tb, qemu_plugin_op op,
                                                       qemu_plugin_u64 entry, uint64_t imm);
uint64_t qemu_plugin_u64_sum(qemu_plugin_u64 entry);
}

namespace probe {
namespace {
qemu_plugin_u64 count;
}  // namespace

void StartCounter() { count = {qemu_plugin_scoreboard_new(sizeof(uint64_t)), 0}; }

void CountInstructions(qemu_plugin_tb* tb) {
  qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64, count,
                                                    qemu_plugin_tb_n_insns(tb));
}

uint64_t InstructionCount() { return count.score == nullptr ? 0 : qemu_plugin_u64_sum(count); }

}  // namespace probe
