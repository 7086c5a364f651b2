// SPDX-License-Identifier: BSD-3-Clause
#include "boot/firmware/uefi.h"
#include "boot/linux_image/x86_64/read_boot_params.h"
#include "kernel/arch/exceptions.h"
#include "kernel/arch/mmu.h"
#include "kernel/arch/x86_64/start.h"
#include "kernel/base/boot_info.h"
#include "kernel/base/panic.h"
#include "kernel/console/print.h"
#include "kernel/cpus/panic.h"

namespace {

constinit base::BootInfo info{};

}  // namespace

/// Called by entry.S with the address of the boot_params.
extern "C" [[noreturn]] void LinuxBoot(uint64_t boot_params) {
  using khocore::PhysAddr;
  using khocore::PhysRange;
  arch::InstallExceptionHandlers(cpus::kExceptionHandlers);
  info.image = arch::ImageInMemory();

  const PhysRange where{PhysAddr::FromRaw(boot_params), sizeof(boot::BootParams)};
  if (!arch::MapRam(where).ok()) base::Panic("boot_params at 0x%lx", boot_params);
  const auto* params = reinterpret_cast<const boot::BootParams*>(boot_params);

  auto map = [](PhysRange range) -> const void* {
    if (!boot::MayBeRam(info, range) || !arch::MapRam(range).ok()) return nullptr;
    return reinterpret_cast<const void*>(range.begin.raw());
  };
  auto note = [](const char* text, uint64_t value) {
    console::PrintConsole("boot: ignored: %s 0x%lx\n", text, value);
  };
  auto map_any = [](PhysRange range) -> const void* {
    if (!arch::MapRam(range).ok()) return nullptr;
    return reinterpret_cast<const void*>(range.begin.raw());
  };
  const base::BootReader reader(map, note);
  boot::ReadBootParams(*params, boot_params, reader, &info);
  boot::TakeFirmware(reader, base::BootReader(map_any, note), &info);
  KernelMain(info);
}
