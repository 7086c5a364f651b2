// SPDX-License-Identifier: BSD-3-Clause
#include "qemu/probe/callbacks.h"

// Since API version 7.
extern "C" {
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*cb)(qemu_plugin_tb* tb, void* userdata),
                                           void* userdata);
void qemu_plugin_register_flush_cb(qemu_plugin_id_t id, void (*cb)(void* userdata), void* userdata);
}

namespace probe {

void CallOnTranslation(qemu_plugin_id_t id, void (*call)(qemu_plugin_tb* tb)) {
  qemu_plugin_register_vcpu_tb_trans_cb(
      id,
      [](qemu_plugin_tb* tb, void* call) { reinterpret_cast<void (*)(qemu_plugin_tb*)>(call)(tb); },
      reinterpret_cast<void*>(call));
}

void CallOnFlush(qemu_plugin_id_t id, void (*call)()) {
  qemu_plugin_register_flush_cb(
      id, [](void* call) { reinterpret_cast<void (*)()>(call)(); }, reinterpret_cast<void*>(call));
}

}  // namespace probe
