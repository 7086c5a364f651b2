// SPDX-License-Identifier: BSD-3-Clause
#include "qemu/probe/callbacks.h"

// Up to API version 6.
extern "C" {
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*cb)(qemu_plugin_id_t id, qemu_plugin_tb* tb));
void qemu_plugin_register_flush_cb(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t id));
}

namespace probe {
namespace {
void (*on_translation)(qemu_plugin_tb* tb);
void (*on_flush)();
}  // namespace

void CallOnTranslation(qemu_plugin_id_t id, void (*call)(qemu_plugin_tb* tb)) {
  on_translation = call;
  qemu_plugin_register_vcpu_tb_trans_cb(
      id, [](qemu_plugin_id_t, qemu_plugin_tb* tb) { on_translation(tb); });
}

void CallOnFlush(qemu_plugin_id_t id, void (*call)()) {
  on_flush = call;
  qemu_plugin_register_flush_cb(id, [](qemu_plugin_id_t) { on_flush(); });
}

}  // namespace probe
