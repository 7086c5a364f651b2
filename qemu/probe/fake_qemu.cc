// SPDX-License-Identifier: BSD-3-Clause
#include "qemu/probe/fake_qemu.h"

extern "C" {
KHORIG_EXPORT thread_local void* current_cpu;

KHORIG_EXPORT void* qemu_get_cpu(int index) {
  static char cpus[16];
  return index < 16 ? &cpus[index] : nullptr;
}
}  // extern "C"

namespace probe {

FakeQemu& TheQemu() {
  static FakeQemu qemu;
  return qemu;
}

qemu_plugin_tb Translate(uint64_t address, uint8_t* host, size_t count) {
  qemu_plugin_tb tb;
  for (size_t i = 0; i < count; ++i) {
    qemu_plugin_insn insn;
    insn.address = address + 4 * i;
    insn.host = host == nullptr ? nullptr : host + 4 * i;
    tb.instructions.push_back(insn);
  }
  TheQemu().translate(&tb);
  return tb;
}

void Execute(qemu_plugin_tb& tb, unsigned cpu, const FakeAccess* access, uint64_t address) {
  constexpr unsigned kTranslator = 0;
  current_cpu = qemu_get_cpu(static_cast<int>(cpu));
  for (const auto& [call, data] : tb.before) call(kTranslator, data);
  for (const qemu_plugin_insn& insn : tb.instructions) {
    for (const auto& [call, data] : insn.before) call(kTranslator, data);
    if (access == nullptr) continue;
    for (const auto& [call, data] : insn.memory) {
      TheQemu().access = *access;
      call(kTranslator, 0, address, data);
    }
  }
}

}  // namespace probe

using probe::TheQemu;

extern "C" {

#if KHORIG_PLUGIN_API < 7
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*cb)(qemu_plugin_id_t, qemu_plugin_tb*)) {
  TheQemu().translate = [=](qemu_plugin_tb* tb) { cb(id, tb); };
}

void qemu_plugin_register_flush_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t)) {
  TheQemu().flush = [=] { cb(id); };
}
#else
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*cb)(qemu_plugin_tb*, void*),
                                           void* userdata) {
  TheQemu().translate = [=](qemu_plugin_tb* tb) { cb(tb, userdata); };
}

void qemu_plugin_register_flush_cb(qemu_plugin_id_t, void (*cb)(void*), void* userdata) {
  TheQemu().flush = [=] { cb(userdata); };
}
#endif

void qemu_plugin_register_vcpu_tb_exec_cb(qemu_plugin_tb* tb, qemu_plugin_vcpu_udata_cb_t cb,
                                          qemu_plugin_cb_flags, void* userdata) {
  tb->before.emplace_back(cb, userdata);
}

void qemu_plugin_register_vcpu_insn_exec_cb(qemu_plugin_insn* insn, qemu_plugin_vcpu_udata_cb_t cb,
                                            qemu_plugin_cb_flags, void* userdata) {
  insn->before.emplace_back(cb, userdata);
}

void qemu_plugin_register_vcpu_mem_cb(qemu_plugin_insn* insn, qemu_plugin_vcpu_mem_cb_t cb,
                                      qemu_plugin_cb_flags, qemu_plugin_mem_rw, void* userdata) {
  insn->memory.emplace_back(cb, userdata);
}

size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb* tb) { return tb->instructions.size(); }
uint64_t qemu_plugin_tb_vaddr(const qemu_plugin_tb* tb) { return tb->instructions[0].address; }
qemu_plugin_insn* qemu_plugin_tb_get_insn(const qemu_plugin_tb* tb, size_t idx) {
  return const_cast<qemu_plugin_insn*>(&tb->instructions[idx]);
}
uint64_t qemu_plugin_insn_vaddr(const qemu_plugin_insn* insn) { return insn->address; }
void* qemu_plugin_insn_haddr(const qemu_plugin_insn* insn) { return insn->host; }
size_t qemu_plugin_insn_size(const qemu_plugin_insn* insn) { return insn->size; }
unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t) {
  return TheQemu().access.size_shift;
}
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t) { return TheQemu().access.is_store; }
qemu_plugin_hwaddr* qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t, uint64_t) {
  static qemu_plugin_hwaddr where;
  probe::FakeAccess& access = TheQemu().access;
  where = {access.is_io, access.reported};
  access.reported = (access.reported | 4095) + 1;  // of the second page, if that is asked for
  return access.is_known ? &where : nullptr;
}
bool qemu_plugin_hwaddr_is_io(const qemu_plugin_hwaddr* haddr) { return haddr->is_io; }
uint64_t qemu_plugin_hwaddr_phys_addr(const qemu_plugin_hwaddr* haddr) { return haddr->address; }

}  // extern "C"
