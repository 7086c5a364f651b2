// SPDX-License-Identifier: BSD-3-Clause
#include "boot/pvh/x86_64/read_start_info.h"
#include "kernel/arch/exceptions.h"
#include "kernel/arch/x86_64/start.h"
#include "kernel/base/boot_info.h"
#include "kernel/base/panic.h"
#include "kernel/console/print.h"
#include "kernel/cpus/panic.h"

namespace {

constinit base::BootInfo info{};

}  // namespace

/// Called by entry.S with the address of the hvm_start_info.
extern "C" [[noreturn]] void PvhBoot(uint64_t start_info) {
  arch::InstallExceptionHandlers(cpus::kExceptionHandlers);
  info.image = arch::ImageInMemory();

  // QEMU's structures lie in its option ROM, which is no RAM; but all are mapped from the start.
  auto map = [](khocore::PhysRange range) -> const void* {
    constexpr khocore::PhysRange kMapped{khocore::PhysAddr(), uint64_t{4} << 30};
    if (!kMapped.Contains(range)) return nullptr;
    return reinterpret_cast<const void*>(range.begin.raw());
  };
  auto note = [](const char* text, uint64_t value) {
    console::PrintConsole("boot: ignored: %s 0x%lx\n", text, value);
  };
  if (!boot::ReadStartInfo(start_info, base::BootReader(map, note), &info)) {
    base::Panic("no hvm_start_info at 0x%lx", start_info);
  }
  KernelMain(info);
}
