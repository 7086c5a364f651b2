// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What QEMU calls when it translates a block, and when it drops all of them. Up to API version 6 it
// passes the plugin's id first, since 7 a word of the plugin last.

#include "qemu/probe/qemu_api.h"

namespace probe {

void CallOnTranslation(qemu_plugin_id_t id, void (*call)(qemu_plugin_tb* tb));
void CallOnFlush(qemu_plugin_id_t id, void (*call)());

}  // namespace probe
