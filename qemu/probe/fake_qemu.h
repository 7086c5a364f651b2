// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A QEMU for the probe's tests: blocks of instructions that a test translates and executes.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "qemu/probe/qemu_api.h"

struct qemu_plugin_insn {
  uint64_t address;
  void* host;
  size_t size = 4;
  std::vector<std::pair<qemu_plugin_vcpu_udata_cb_t, void*>> before;
  std::vector<std::pair<qemu_plugin_vcpu_mem_cb_t, void*>> memory;
};

struct qemu_plugin_tb {
  std::vector<qemu_plugin_insn> instructions;
  std::vector<std::pair<qemu_plugin_vcpu_udata_cb_t, void*>> before;
};

struct qemu_plugin_hwaddr {
  bool is_io;
  uint64_t address;
};

namespace probe {

/// What an access of the guest is, for the callback of one.
struct FakeAccess {
  bool is_store = true;
  unsigned size_shift = 3;
  bool is_io = false;
  bool is_known = true;  // whether QEMU still knows where it went
  uint64_t reported = 0;
};

/// The plugin's callbacks, and the access that is being looked at.
struct FakeQemu {
  std::function<void(qemu_plugin_tb*)> translate;
  std::function<void()> flush;
  FakeAccess access;
};

FakeQemu& TheQemu();

/// A block of `count` instructions of 4 bytes from `address`, whose text lies at `host`, as the
/// plugin has instrumented it.
qemu_plugin_tb Translate(uint64_t address, uint8_t* host, size_t count = 1);

/// Executes a block on a CPU, which callbacks are not told, as in QEMU 10.0 with -icount. Every
/// instruction makes `access`.
void Execute(qemu_plugin_tb& tb, unsigned cpu = 0, const FakeAccess* access = nullptr,
             uint64_t address = 0);

}  // namespace probe
