// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/start.h"

#include "kernel/arch/x86_64/image_layout.h"
#include "kernel/arch/x86_64/mmu.h"
#include "kernel/base/print.h"

namespace arch {

khocore::PhysRange ImageInMemory() {
  return {LoadAddress(), static_cast<uint64_t>(__image_end - __image_begin)};
}

void PrintIgnored(const char* text, uint64_t value) {
  core::PrintConsole("boot: ignored: %s 0x%lx\n", text, value);
}

}  // namespace arch
